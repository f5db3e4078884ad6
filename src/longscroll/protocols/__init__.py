"""The wire surfaces: HTTP lives here and nowhere else."""
