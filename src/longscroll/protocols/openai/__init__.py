"""The OpenAI-compatible surface under ``/compatible-mode/v1`` (and ``/v1``)."""
