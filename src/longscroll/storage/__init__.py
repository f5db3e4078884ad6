"""Rows and blobs: interfaces, memory twins, database, local disk."""
