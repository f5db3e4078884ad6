"""From uploaded bytes to a searchable, citable document: ingestion, artifact, passages, segment."""
