"""Files as clients see them: upload, get, list, delete, read back. The only place that orders quota → store → enqueue."""
