"""The rows of API keys in SQL.

Owns every statement on ``keys``. Knows no dialect, no thread, and no key: only digests. The memory twin is
``memory.MemoryKeys``; one contract suite holds both.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.exc import IntegrityError

from longscroll.storage.base import Key
from longscroll.storage.connections import Connections
from longscroll.storage.schema import keys
from longscroll.storage.sql_workspaces import ensure_workspace

COLUMNS = tuple(keys.c[name] for name in Key.__struct_fields__)
SELECT_BY_DIGEST = sa.select(*COLUMNS).where(keys.c.digest == sa.bindparam("d"))
SELECT_ALL = sa.select(*COLUMNS).order_by(keys.c.created_at, keys.c.id)
SELECT_BY_ID = sa.select(*COLUMNS).where(keys.c.id == sa.bindparam("i"))
REVOKE = (
    sa.update(keys)
    .where(keys.c.id == sa.bindparam("i"), keys.c.revoked_at.is_(None))
    .values(revoked_at=sa.bindparam("now"))
)
UNTIL = sa.bindparam("until", type_=keys.c.expires_at.type)
END = (
    sa.update(keys)
    .where(
        keys.c.id == sa.bindparam("i"),
        keys.c.revoked_at.is_(None),
        sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > sa.bindparam("now")),
    )
    .values(expires_at=sa.case((keys.c.expires_at < UNTIL, keys.c.expires_at), else_=UNTIL))
)


class SqlKeys:
    """``KeyStore`` on a SQL database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add_key(self, key: Key) -> None:
        """Insert a key; see ``KeyStore.add_key``.

        Raises:
            ValueError: its digest or its id is there already.
        """
        await self._connections.write(lambda connection: _add(connection, key))

    async def find_key(self, digest: bytes) -> Key | None:
        """Find by digest; see ``KeyStore.find_key``."""
        found = await self._connections.read(lambda connection: _keys(connection, SELECT_BY_DIGEST, d=digest))
        return found[0] if found else None

    async def get_key(self, workspace: str | None, key_id: str) -> Key | None:
        """Find by id; see ``KeyStore.get_key``."""
        query = SELECT_BY_ID if workspace is None else SELECT_BY_ID.where(keys.c.workspace == workspace)
        found = await self._connections.read(lambda connection: _keys(connection, query, i=key_id))
        return found[0] if found else None

    async def list_keys(self, workspace: str | None) -> list[Key]:
        """List keys; see ``KeyStore.list_keys``."""
        query = SELECT_ALL if workspace is None else SELECT_ALL.where(keys.c.workspace == workspace)
        return await self._connections.read(lambda connection: _keys(connection, query))

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke a key, on a full disk too; see ``KeyStore.revoke_key``."""
        values = {"i": key_id, "now": now}
        return await self._connections.write(
            lambda connection: connection.execute(REVOKE, values).rowcount == 1, makes_room=True
        )

    async def replace_key(self, key_id: str, successor: Key, *, until: datetime, now: datetime) -> bool:
        """Let a key end and insert its successor; see ``KeyStore.replace_key``.

        Raises:
            ValueError: the successor's digest or its id is there already.
        """
        values = {"i": key_id, "now": now, "until": until}
        return await self._connections.write(lambda connection: _replace(connection, values, successor))


def _replace(connection: sa.Connection, values: dict[str, Any], successor: Key) -> bool:
    if connection.execute(END, values).rowcount != 1:
        return False
    _add(connection, successor)
    return True


def _add(connection: sa.Connection, key: Key) -> None:
    ensure_workspace(connection, key.workspace, created_at=key.created_at)
    try:
        connection.execute(sa.insert(keys), asdict(key))
    except IntegrityError as error:
        raise ValueError(f"The key {key.id} is stored already.") from error


def _keys(connection: sa.Connection, query: sa.Select[Any], **values: bytes | str) -> list[Key]:
    return [Key(**row) for row in connection.execute(query, values).mappings()]
