"""Records of usage as metering writes them."""

from __future__ import annotations

from typing import Any

from factories.storage import NOON
from longscroll.storage.base import UsageRecord


def make_record(**fields: Any) -> UsageRecord:
    """Return the record of an answer: 1200 tokens in, 11 out, the first after half a second and the last after 1.5."""
    standard: dict[str, Any] = {
        "request_id": "r",
        "workspace": "acme",
        "key_id": "key-1",
        "model": "qwen-long",
        "model_served": "extractive",
        "operation": "chat",
        "surface": "openai",
        "n_input": 1200,
        "n_output": 11,
        "first_token_ms": 500.0,
        "total_ms": 1500.0,
        "at": NOON,
    }
    return UsageRecord(**(standard | fields))
