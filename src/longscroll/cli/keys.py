"""``longscroll keys``: the keys of a data folder, whether a service runs on it or not."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from longscroll.access.base import DEFAULT_SCOPES
from longscroll.app import key_room, model_options, now
from longscroll.cli.configured import configured
from longscroll.cli.table import print_table
from longscroll.config import Config
from longscroll.errors import LongscrollError
from longscroll.storage.base import Key

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class KeyCommandError(LongscrollError):
    """An option of ``longscroll keys`` cannot be used."""


def create(config_file: Path | None, data_dir: Path | None, wanted: dict[str, Any]) -> None:
    """Create a key and print it, alone, on standard output."""
    life = _duration(wanted["expires"]) if wanted["expires"] is not None else None

    config = configured(config_file, data_dir)

    async def work() -> str:
        async with key_room(config) as keys:
            plaintext, _ = await keys.create(
                wanted["workspace"],
                name=wanted["name"],
                scopes=tuple(wanted["scopes"] or DEFAULT_SCOPES),
                models=tuple(wanted["models"] or ()),
                expires_at=now() + life if life is not None else None,
            )
            return plaintext

    for name in _not_served(config, wanted["models"] or ()):
        sys.stderr.write(f"longscroll: no model is named {name} in this configuration.\n")
    sys.stdout.write(asyncio.run(work()) + "\n")


def _not_served(config: Config, names: Iterable[str]) -> list[str]:
    served = {name for model in model_options(config) for name in (model.name, *model.aliases)}
    return [name for name in names if name not in served]


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

    found = asyncio.run(work())
    if as_json:
        sys.stdout.writelines(json.dumps(_row(key), ensure_ascii=False) + "\n" for key in found)
        return
    cells = [(key.id, key.workspace, key.name, key.display, " ".join(key.scopes), _told_state(key)) for key in found]
    print_table(("id", "workspace", "name", "key", "scopes", "state"), cells)


def _told_state(key: Key) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is not None:
        return f"{'expired' if key.expires_at <= now() else 'expires'} {key.expires_at:%Y-%m-%d %H:%M}"
    return "active"


def _row(key: Key) -> dict[str, Any]:
    is_revoked = key.revoked_at is not None
    return {
        "id": key.id,
        "workspace": key.workspace,
        "name": key.name,
        "key": key.display,
        "scopes": list(key.scopes),
        "models": list(key.models),
        "state": "active" if key.is_valid(now()) else "revoked" if is_revoked else "expired",
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }


def revoke(key_id: str, config_file: Path | None, data_dir: Path | None) -> None:
    """Revoke a key."""

    async def work() -> bool:
        async with key_room(configured(config_file, data_dir)) as keys:
            return await keys.revoke(key_id)

    if not asyncio.run(work()):
        raise KeyCommandError(f"No active key has the id {key_id}; see `longscroll keys list`.")
