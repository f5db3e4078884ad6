"""The rows of batches in SQL, and the replies of those that are under way.

Owns every statement on ``batches`` and ``batch_results``. Knows no dialect and no thread. The memory twin is
``memory_batches``; one contract suite holds both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningUpdate

from longscroll.storage.batches import (
    ANSWERING,
    CANCELABLE,
    Batch,
    BatchClaim,
    BatchFilter,
    BatchStatus,
    LineResult,
)
from longscroll.storage.connections import Connections
from longscroll.storage.schema import BATCH_SEQUENCE, IS_UNFINISHED, batch_results, batches, counters
from longscroll.storage.sql_workspaces import ensure_workspace

COLUMNS = tuple(batches.c[name] for name in Batch.__struct_fields__)
NOW = sa.bindparam("now", type_=batches.c.lease_until.type)
IS_THE_BATCH = sa.and_(batches.c.workspace == sa.bindparam("w"), batches.c.id == sa.bindparam("i"))
IS_HELD = sa.and_(IS_THE_BATCH, batches.c.fence == sa.bindparam("f"), batches.c.lease_owner == sa.bindparam("o"))
IS_ITS_RESULT = sa.and_(batch_results.c.workspace == sa.bindparam("w"), batch_results.c.batch_id == sa.bindparam("i"))
NO_LEASE = {"lease_owner": None, "lease_until": None}

SELECT_ONE = sa.select(*COLUMNS).where(IS_THE_BATCH)
DRAW_SEQUENCE = (
    sa.update(counters)
    .where(counters.c.name == BATCH_SEQUENCE)
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)
CANCEL = (
    sa.update(batches)
    .where(IS_THE_BATCH, batches.c.status.in_(CANCELABLE))
    .values(status=BatchStatus.CANCELLING, cancelling_at=sa.bindparam("now"))
)
RENEW = sa.update(batches).where(IS_HELD).values(lease_until=sa.bindparam("until")).returning(*COLUMNS)
ADVANCE = sa.update(batches).where(IS_HELD, batches.c.status == sa.bindparam("was"))
RELEASE = sa.update(batches).where(IS_HELD).values(NO_LEASE)
SELECT_OWNERS = sa.select(batches.c.lease_owner).where(batches.c.lease_owner.is_not(None)).distinct()
FORFEIT = sa.update(batches).where(batches.c.lease_owner.in_(sa.bindparam("owners", expanding=True))).values(NO_LEASE)
COUNT_COMPLETED = (
    sa.update(batches)
    .where(IS_HELD, batches.c.status.in_(ANSWERING))
    .values(n_completed=batches.c.n_completed + sa.bindparam("n"))
)
COUNT_FAILED = (
    sa.update(batches)
    .where(IS_HELD, batches.c.status.in_(ANSWERING))
    .values(n_failed=batches.c.n_failed + sa.bindparam("n"))
)
IS_ANSWERED = sa.select(batch_results.c.line).where(IS_ITS_RESULT, batch_results.c.line == sa.bindparam("line"))
SELECT_ANSWERED = sa.select(batch_results.c.line).where(IS_ITS_RESULT)
SELECT_RESULTS = (
    sa.select(batch_results.c.line, batch_results.c.is_failed, batch_results.c.record)
    .where(
        IS_ITS_RESULT,
        batch_results.c.is_failed == sa.bindparam("is_failed"),
        batch_results.c.line > sa.bindparam("after"),
    )
    .order_by(batch_results.c.line)
    .limit(sa.bindparam("n"))
)
DROP_RESULTS = sa.delete(batch_results).where(
    IS_ITS_RESULT,
    batch_results.c.line.in_(
        sa.select(batch_results.c.line).where(IS_ITS_RESULT).order_by(batch_results.c.line).limit(sa.bindparam("n"))
    ),
)


def _claim() -> ReturningUpdate[Any]:
    """Return the statement that takes the next batch; its cost grows with the batches that are not at their end."""
    free, leased = batches.alias("free"), batches.alias("leased")
    n_leased = (
        sa.select(sa.func.count())
        .where(leased.c.workspace == free.c.workspace, leased.c.lease_until > NOW)
        .correlate(free)
        .scalar_subquery()
    )
    following = (
        sa.select(free.c.workspace, free.c.id)
        .where(IS_UNFINISHED, sa.or_(free.c.lease_until.is_(None), free.c.lease_until <= NOW))
        .order_by(n_leased, free.c.sequence)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (
        sa.update(batches)
        .where(sa.tuple_(batches.c.workspace, batches.c.id).in_(following))
        .values(lease_owner=sa.bindparam("owner"), lease_until=sa.bindparam("until"), fence=batches.c.fence + 1)
        .returning(*COLUMNS, batches.c.fence)
    )


CLAIM = _claim()


class SqlBatches:
    """``BatchStore`` on a SQL database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, batch: Batch) -> Batch:
        """Insert a batch; see ``BatchStore.add``.

        Raises:
            ValueError: the workspace has a batch of that id; ids are random, so a caller used one twice.
        """
        return await self._connections.write(lambda connection: _add(connection, batch))

    async def get(self, workspace: str, batch_id: str) -> Batch | None:
        """Return a batch; see ``BatchStore.get``."""
        return await self._connections.read(lambda connection: _find(connection, workspace, batch_id))

    async def page(
        self, workspace: str, *, which: BatchFilter, after: str | None, limit: int
    ) -> tuple[list[Batch], bool]:
        """List by cursor; see ``BatchStore.page``."""
        query = sa.select(*COLUMNS).where(*_conditions(workspace, which)).order_by(batches.c.sequence.desc())
        if after is not None:
            last = sa.select(batches.c.sequence).where(batches.c.workspace == workspace, batches.c.id == after)
            query = query.where(batches.c.sequence < last.scalar_subquery())
        rows = await self._connections.read(lambda c: c.execute(query.limit(limit + 1)).mappings().all())
        found = [Batch(**row) for row in rows]
        return found[:limit], len(found) > limit

    async def cancel(self, workspace: str, batch_id: str, *, now: datetime) -> Batch | None:
        """Begin to cancel; see ``BatchStore.cancel``."""
        values = {"w": workspace, "i": batch_id, "now": now}

        def cancel(connection: sa.Connection) -> Batch | None:
            connection.execute(CANCEL, values)
            return _find(connection, workspace, batch_id)

        return await self._connections.write(cancel)

    async def claim(self, owner: str, *, now: datetime, lease_s: float) -> BatchClaim | None:
        """Claim by one UPDATE; see ``BatchStore.claim``."""
        values = {"owner": owner, "until": now + timedelta(seconds=lease_s), "now": now}
        row = await self._connections.write(lambda c: c.execute(CLAIM, values).mappings().one_or_none())
        if row is None:
            return None
        fields = dict(row)
        fence = fields.pop("fence")
        return BatchClaim(batch=Batch(**fields), owner=owner, fence=fence)

    async def renew(self, claim: BatchClaim, *, now: datetime, lease_s: float) -> Batch | None:
        """Prolong a claim; see ``BatchStore.renew``."""
        values = _holder(claim) | {"until": now + timedelta(seconds=lease_s)}
        row = await self._connections.write(lambda c: c.execute(RENEW, values).mappings().one_or_none())
        return None if row is None else Batch(**row)

    async def advance(self, claim: BatchClaim, batch: Batch, *, was: BatchStatus) -> bool:
        """Write a batch by compare-and-set; see ``BatchStore.advance``."""
        statement, values = ADVANCE.values(asdict(batch)), _holder(claim) | {"was": was}
        return await self._connections.write(lambda c: c.execute(statement, values).rowcount == 1)

    async def release(self, claim: BatchClaim) -> None:
        """Let go of a batch; see ``BatchStore.release``."""
        await self._connections.write(lambda c: c.execute(RELEASE, _holder(claim)))

    async def owners(self) -> set[str]:
        """Return who has a lease; see ``BatchStore.owners``."""
        return await self._connections.read(lambda c: set(c.execute(SELECT_OWNERS).scalars()))

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of the dead; see ``BatchStore.forfeit``."""
        values = {"owners": list(owners)}
        return await self._connections.write(lambda connection: connection.execute(FORFEIT, values).rowcount)

    async def add_result(self, claim: BatchClaim, result: LineResult) -> bool:
        """Keep a reply and count it in one transaction; see ``BatchStore.add_result``."""
        return await self._connections.write(lambda connection: _add_result(connection, claim, result))

    async def answered(self, claim: BatchClaim) -> set[int]:
        """Return the lines with a reply; see ``BatchStore.answered``."""
        return await self._connections.read(lambda c: set(c.execute(SELECT_ANSWERED, _key(claim)).scalars()))

    async def results(self, claim: BatchClaim, *, is_failed: bool, after: int, limit: int) -> Sequence[LineResult]:
        """Return replies in order; see ``BatchStore.results``."""
        values = _key(claim) | {"is_failed": is_failed, "after": after, "n": limit}
        rows = await self._connections.read(lambda c: c.execute(SELECT_RESULTS, values).mappings().all())
        return [LineResult(**row) for row in rows]

    async def drop_results(self, claim: BatchClaim, *, limit: int) -> int:
        """Forget some replies, and wipe them from the files of the database; see ``BatchStore.drop_results``."""
        values = _key(claim) | {"n": limit}
        n_dropped = await self._connections.write(lambda c: c.execute(DROP_RESULTS, values).rowcount)
        if n_dropped:
            self._connections.scrub_soon()
        return n_dropped


def _add(connection: sa.Connection, batch: Batch) -> Batch:
    ensure_workspace(connection, batch.workspace, created_at=batch.created_at)
    fields = asdict(batch) | {"sequence": connection.execute(DRAW_SEQUENCE).scalar_one()}
    try:
        connection.execute(sa.insert(batches), fields | {"fence": 0})
    except IntegrityError as error:
        raise ValueError(f"The workspace has a batch {batch.id} already.") from error
    return Batch(**fields)


def _find(connection: sa.Connection, workspace: str, batch_id: str) -> Batch | None:
    row = connection.execute(SELECT_ONE, {"w": workspace, "i": batch_id}).mappings().one_or_none()
    return None if row is None else Batch(**row)


def _add_result(connection: sa.Connection, claim: BatchClaim, result: LineResult) -> bool:
    is_new = connection.execute(IS_ANSWERED, _key(claim) | {"line": result.line}).first() is None
    count = COUNT_FAILED if result.is_failed else COUNT_COMPLETED
    if connection.execute(count, _holder(claim) | {"n": int(is_new)}).rowcount != 1:
        return False
    if is_new:
        key = {"workspace": claim.batch.workspace, "batch_id": claim.batch.id}
        connection.execute(sa.insert(batch_results), key | asdict(result))
    return True


def _conditions(workspace: str, which: BatchFilter) -> list[sa.ColumnElement[bool]]:
    conditions = [batches.c.workspace == workspace]
    if which.name_part:
        conditions.append(batches.c.name.icontains(which.name_part, autoescape=True))
    if which.input_file_ids:
        conditions.append(batches.c.input_file_id.in_(which.input_file_ids))
    if which.statuses:
        conditions.append(batches.c.status.in_(which.statuses))
    if which.created_after is not None:
        conditions.append(batches.c.created_at > which.created_after)
    if which.created_before is not None:
        conditions.append(batches.c.created_at < which.created_before)
    return conditions


def _key(claim: BatchClaim) -> dict[str, Any]:
    return {"w": claim.batch.workspace, "i": claim.batch.id}


def _holder(claim: BatchClaim) -> dict[str, Any]:
    return _key(claim) | {"f": claim.fence, "o": claim.owner}
