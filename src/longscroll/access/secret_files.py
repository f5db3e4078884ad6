"""Secrets in files of the data folder: written once, readable by the owner only, whole or absent.

Knows nothing of what the secrets are for.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_once(path: Path, content: bytes) -> bytes:
    """Make the file unless it is there, durably, and return what it holds: of several writers one wins for all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    _force_to_disk(path.parent)
    return path.read_bytes()


def read(path: Path) -> bytes | None:
    """Return what the file holds, or None when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _force_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
