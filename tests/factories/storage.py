"""Files, keys, claims and blobs with every field filled in; a test names only what it is about."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from longscroll.storage.base import BlobStore, Key, UsageRecord
from longscroll.types import File

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
WORKSPACE = "acme"
_numbers = count(1)


def make_file(**fields: Any) -> File:
    """Return a file with an id that no other call returns."""
    number = next(_numbers)
    standard: dict[str, Any] = {
        "workspace": WORKSPACE,
        "id": f"file-fe-{number:024x}",
        "filename": f"年报 {number}.pdf",
        "purpose": "file-extract",
        "size_bytes": 1000,
        "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
        "created_at": NOON,
    }
    return File(**(standard | fields))


def make_key(**fields: Any) -> Key:
    """Return a key with an id and a digest that no other call returns."""
    number = next(_numbers)
    standard: dict[str, Any] = {
        "id": f"key-{number}",
        "workspace": WORKSPACE,
        "name": "a laptop",
        "display": "sk-ls-AbCd…wxyz",
        "digest": hashlib.sha256(str(number).encode()).digest(),
        "scopes": ("chat", "files:read"),
        "created_at": NOON,
    }
    return Key(**(standard | fields))


def make_usage(**fields: Any) -> UsageRecord:
    """Return the row of a request that no other call returns."""
    standard: dict[str, Any] = {
        "request_id": f"request-{next(_numbers)}",
        "workspace": WORKSPACE,
        "key_id": "key-1",
        "model": "qwen-long",
        "model_served": "extractive",
        "operation": "chat",
        "surface": "openai",
        "n_input": 100,
        "n_output": 10,
        "at": NOON,
    }
    return UsageRecord(**(standard | fields))


async def put_blob(blobs: BlobStore, name: str, content: bytes) -> Path:
    """Stage and adopt some bytes; return where they were staged."""
    staged = blobs.staging_path()
    staged.write_bytes(content)
    await blobs.adopt(staged, name)
    return staged


async def read_blob(blobs: BlobStore, name: str) -> bytes:
    """Return a whole blob."""
    return b"".join([block async for block in await blobs.read(name)])
