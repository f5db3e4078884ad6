"""The native DashScope surface under ``/api/v1``."""
