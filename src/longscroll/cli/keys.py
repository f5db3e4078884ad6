"""``longscroll keys``: the keys of a data folder, whether a service runs on it or not."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from longscroll.access.base import SCOPES, Scope
from longscroll.app import key_room, now
from longscroll.cli.configured import configured
from longscroll.cli.table import print_table
from longscroll.errors import LongscrollError
from longscroll.storage.base import Key

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class KeyCommandError(LongscrollError):
    """An option of ``longscroll keys`` cannot be used."""


def create(config_file: Path | None, data_dir: Path | None, wanted: dict[str, Any]) -> None:
    """Create a key and print it, alone, on standard output."""
    scopes = tuple(wanted["scopes"] or SCOPES)
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise KeyCommandError(f"Unknown scope {unknown[0]!r}; a scope is one of {', '.join(SCOPES)}.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", wanted["workspace"]):
        raise KeyCommandError("A workspace is named by up to 64 letters, digits, - and _.")
    expires_at = _expiry(wanted["expires"])

    async def work() -> str:
        async with key_room(configured(config_file, data_dir)) as keys:
            plaintext, _ = await keys.create(
                wanted["workspace"],
                name=wanted["name"],
                scopes=cast("tuple[Scope, ...]", scopes),
                models=tuple(wanted["models"] or ()),
                expires_at=expires_at,
            )
            return plaintext

    sys.stdout.write(asyncio.run(work()) + "\n")


def _expiry(life: str | None) -> datetime | None:
    if life is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})([dhm])", life)
    if match is None:
        raise KeyCommandError(f"{life!r} is no life of a key; write 30d, 12h or 90m.")
    return now() + timedelta(**{_UNITS[match[2]]: int(match[1])})


def list_keys(config_file: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Print the keys of all workspaces, oldest first."""

    async def work() -> list[Key]:
        async with key_room(configured(config_file, data_dir)) as keys:
            return await keys.list(None)

    rows = [_row(key) for key in asyncio.run(work())]
    if as_json:
        sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return
    cells = [
        (row["id"], row["workspace"], row["name"], row["key"], " ".join(row["scopes"]), row["state"]) for row in rows
    ]
    print_table(("id", "workspace", "name", "key", "scopes", "state"), cells)


def _row(key: Key) -> dict[str, Any]:
    state = "active"
    if key.revoked_at is not None:
        state = f"revoked {key.revoked_at:%Y-%m-%d}"
    elif key.expires_at is not None:
        state = f"{'expired' if key.expires_at <= now() else 'expires'} {key.expires_at:%Y-%m-%d %H:%M}"
    return {
        "id": key.id,
        "workspace": key.workspace,
        "name": key.name,
        "key": key.display,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "created_at": key.created_at.isoformat(),
        "state": state,
    }


def revoke(key_id: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Revoke a key."""

    async def work() -> bool:
        async with key_room(configured(config_file, data_dir)) as keys:
            return await keys.revoke(key_id)

    if not asyncio.run(work()):
        raise KeyCommandError(f"No active key has the id {key_id}; see `longscroll keys list`.")
