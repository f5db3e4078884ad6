"""``longscroll keys``: the keys of a data folder, whether a service runs on it or not."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from longscroll.access.base import DEFAULT_SCOPES
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
    life = _duration(wanted["expires"]) if wanted["expires"] is not None else None

    async def work() -> str:
        async with key_room(configured(config_file, data_dir)) as keys:
            plaintext, _ = await keys.create(
                wanted["workspace"],
                name=wanted["name"],
                scopes=tuple(wanted["scopes"] or DEFAULT_SCOPES),
                models=tuple(wanted["models"] or ()),
                expires_at=now() + life if life is not None else None,
            )
            return plaintext

    sys.stdout.write(asyncio.run(work()) + "\n")


def rotate(key_id: str, overlap: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Create the successor of a key and print it, alone, on standard output."""
    lasting = _duration(overlap)

    async def work() -> str:
        async with key_room(configured(config_file, data_dir)) as keys:
            plaintext, _ = await keys.rotate(key_id, overlap=lasting)
            return plaintext

    sys.stdout.write(asyncio.run(work()) + "\n")


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([dhm])", text) if text != "0" else None
    if match is None and text != "0":
        raise KeyCommandError(f"{text!r} is no length of time; write 30d, 12h or 90m.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)


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
