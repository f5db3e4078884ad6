"""The first key: made once, so that a fresh installation is protected and usable at the same time.

Owns ``<data-dir>/api-key``. Knows no surface and shows nothing: who starts the service decides what is printed.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from msgspec import Struct

from longscroll.access import secret_files
from longscroll.access.base import DEFAULT_WORKSPACE
from longscroll.access.keys import Keys
from longscroll.access.plaintext import new_plaintext
from longscroll.errors import StartupError

KEY_FILE = "api-key"
MIN_OPEN_LENGTH = 16
"""Of a chosen key, in characters, where others can reach the service."""


class FirstKey(Struct, frozen=True, kw_only=True):
    """How the service can be called. ``path`` is None when no file holds the key, ``plaintext`` when nothing does."""

    path: Path | None
    plaintext: str | None
    is_new: bool

    def __repr__(self) -> str:
        return f"FirstKey(path={self.path!r}, is_new={self.is_new})"


async def first_key(data_dir: Path, keys: Keys, given: str | None, *, workspace: str = DEFAULT_WORKSPACE) -> FirstKey:
    """Take the key that the operator gave, or that an earlier start wrote; else make one where there is none at all.

    The file is written before the row: a start that is cut off between them is finished by the next. A key that the
    operator gave is not written to any file.

    Raises:
        StartupError: the given key, or the one in the file, cannot be used.
    """
    if given is not None:
        await keys.adopt(given, workspace, name="LONGSCROLL_API_KEY")
        return FirstKey(path=None, plaintext=given, is_new=False)
    path = data_dir / KEY_FILE
    written = secret_files.read(path)
    is_new = written is None
    if written is None:
        if await keys.list(None):
            return FirstKey(path=None, plaintext=None, is_new=False)
        written = secret_files.write_once(path, f"{new_plaintext()}\n".encode())
    plaintext = _decoded(path, written)
    if await keys.find(plaintext) is None:  # a revoked one stays revoked, and its file is the operator's to remove
        await keys.adopt(plaintext, workspace, name="first key")
    return FirstKey(path=path, plaintext=plaintext, is_new=is_new)


async def require_key(keys: Keys, *, host: str, given: str | None) -> None:
    """Let a service that others can reach begin only where somebody has a key to it, and nobody guesses one.

    Raises:
        StartupError: ``host`` is no address of this machine alone, and no key is valid, or the ``given`` one is short.
    """
    if _is_loopback(host):
        return
    if given is not None and len(given) < MIN_OPEN_LENGTH:
        raise StartupError(
            f"LONGSCROLL_API_KEY has {len(given)} characters, and others can reach {host}: give it at least "
            f"{MIN_OPEN_LENGTH}, leave it out, or listen on 127.0.0.1."
        )
    if not await keys.is_any_valid():
        raise StartupError(
            f"No API key is valid, so the service does not listen on {host}, where others can reach it. "
            "Make a key with `longscroll keys create`, or listen on 127.0.0.1."
        )


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may mean anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise StartupError(f"{path} does not hold an API key; remove it or restore it.") from error
