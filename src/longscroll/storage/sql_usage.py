"""The rows of usage in SQL.

Owns every statement on ``usage``. Knows no dialect and no thread. Nothing is written more often than these rows, so
one is inserted as plain values by a statement that is compiled once, by the driver itself, and forced to the disk a
moment later (docs/decisions/0012). The memory twin is ``memory.MemoryUsage``; one contract suite holds both.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict

from longscroll.storage.base import UsageFilter, UsageGroup, UsageRecord, UsageSum
from longscroll.storage.connections import Connections
from longscroll.storage.schema import EPOCH, MICROSECOND, usage

FIELDS = UsageRecord.__struct_fields__
COLUMNS = tuple(usage.c[name] for name in FIELDS)
INSERT = sa.text(
    f"INSERT INTO usage ({', '.join(FIELDS)}) VALUES ({', '.join(f':{name}' for name in FIELDS)}) "  # noqa: S608 - names
    f"ON CONFLICT (workspace, request_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in FIELDS)}"
)
DAY_MICROS = timedelta(days=1) // MICROSECOND
DAY = sa.type_coerce(usage.c.at, sa.BigInteger) // DAY_MICROS
GROUPS: dict[UsageGroup, sa.ColumnElement[Any]] = {
    "key": usage.c.key_id,
    "model": usage.c.model,
    "day": DAY,
    "workspace": usage.c.workspace,
}
SUMS = (sa.func.count(), *(sa.func.sum(usage.c[name]) for name in ("n_input", "n_output", "n_cached", "n_read")))
SELECT_OLD = sa.select(usage.c.workspace, usage.c.request_id).where(usage.c.at < sa.bindparam("before"))
DELETE = sa.delete(usage).where(usage.c.workspace == sa.bindparam("w"), usage.c.request_id == sa.bindparam("r"))


class SqlUsage:
    """``UsageStore`` on a SQL database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, record: UsageRecord) -> None:
        """Insert a row; see ``UsageStore.add``."""
        values = asdict(record)
        values["at"] = (record.at - EPOCH) // MICROSECOND
        values["file_ids"] = msgspec.json.encode(record.file_ids).decode()
        await self._connections.write(lambda connection: _insert(connection, values), is_forced=False)

    async def latest(self, which: UsageFilter, *, limit: int) -> list[UsageRecord]:
        """Return the latest rows; see ``UsageStore.latest``."""
        query = sa.select(*COLUMNS).where(*_conditions(which)).order_by(usage.c.at.desc()).limit(limit)
        rows = await self._connections.read(lambda connection: connection.execute(query).mappings().all())
        return [UsageRecord(**row) for row in rows]

    async def sums(self, by: UsageGroup, which: UsageFilter) -> list[UsageSum]:
        """Add up by group; see ``UsageStore.sums``."""
        query = sa.select(GROUPS[by], *SUMS).where(*_conditions(which)).group_by(GROUPS[by]).order_by(GROUPS[by])
        rows = await self._connections.read(lambda connection: connection.execute(query).all())
        return [_sum(_day(row[0]) if by == "day" else row[0], row[1:]) for row in rows]

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Remove old rows; see ``UsageStore.forget``. They are looked for on a reading connection."""
        query = SELECT_OLD.limit(limit)
        rows = await self._connections.read(lambda connection: connection.execute(query, {"before": before}).all())
        if rows:
            old = [{"w": workspace, "r": request_id} for workspace, request_id in rows]
            await self._connections.write(lambda connection: connection.execute(DELETE, old))
        return len(rows)


@cache
def _compiled(dialect: sa.Dialect) -> sa.Compiled:
    return INSERT.compile(dialect=dialect)


def _insert(connection: sa.Connection, values: dict[str, Any]) -> None:
    """Insert a row. What SQLAlchemy does for each execution of a statement of its own would cost four times as much."""
    statement = _compiled(connection.dialect)
    names = getattr(statement, "positiontup", None)  # None: the driver takes parameters by name
    parameters = values if names is None else tuple(values[name] for name in names)
    connection.exec_driver_sql(str(statement), parameters)


def _conditions(which: UsageFilter) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if which.workspace is not None:
        conditions.append(usage.c.workspace == which.workspace)
    if which.since is not None:
        conditions.append(usage.c.at >= which.since)
    if which.until is not None:
        conditions.append(usage.c.at < which.until)
    return conditions


def _day(number: int) -> str:
    return f"{EPOCH + timedelta(days=number):%Y-%m-%d}"


def _sum(name: str, counts: tuple[int, ...]) -> UsageSum:
    n_requests, n_input, n_output, n_cached, n_read = map(int, counts)
    return UsageSum(
        name=name, n_requests=n_requests, n_input=n_input, n_output=n_output, n_cached=n_cached, n_read=n_read
    )
