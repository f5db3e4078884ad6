"""The rows of files in SQL.

Owns every statement on ``files`` and on the places of removed files. Knows no dialect and no thread: statements are
SQLAlchemy Core, run by ``Connections``. The memory twin is ``memory.MemoryFiles``; one contract suite holds both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.exc import IntegrityError

from longscroll.storage.base import NO_LIMIT, Claim, FileFilter, Outcome, Quota
from longscroll.storage.connections import Connections
from longscroll.storage.queue import CLAIM
from longscroll.storage.schema import FILE_SEQUENCE, counters, files, removed_files
from longscroll.storage.sql_workspaces import ensure_workspace
from longscroll.types import File, FileStatus, HeldFiles, Progress

N_REMOVED_KEPT = 100_000  # uploads that a removed file's place in the listing is remembered for

COLUMNS = tuple(files.c[name] for name in File.__struct_fields__)
IS_VISIBLE = files.c.status != FileStatus.DELETING
IS_THE_FILE = sa.and_(files.c.workspace == sa.bindparam("w"), files.c.id == sa.bindparam("i"))
IS_OF_CLAIM = sa.and_(IS_THE_FILE, files.c.fence == sa.bindparam("f"), files.c.lease_owner == sa.bindparam("o"))
IS_HELD = sa.and_(IS_OF_CLAIM, files.c.status == FileStatus.UPLOADED)
NO_LEASE = {"lease_owner": None, "lease_until": None, "progress": None}

SELECT_ONE = sa.select(*COLUMNS).where(IS_THE_FILE, IS_VISIBLE)
SELECT_MANY = sa.select(*COLUMNS).where(
    files.c.workspace == sa.bindparam("w"), files.c.id.in_(sa.bindparam("ids", expanding=True)), IS_VISIBLE
)
SELECT_TOTALS = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(files.c.size_bytes), 0)).where(
    files.c.workspace == sa.bindparam("w"), IS_VISIBLE
)
SELECT_WORKSPACES = sa.select(files.c.workspace).distinct().order_by(files.c.workspace)
COUNT_BY_STATUS = sa.select(
    files.c.workspace, files.c.status, sa.func.count(), sa.func.coalesce(sa.func.sum(files.c.size_bytes), 0)
).group_by(files.c.workspace, files.c.status)
SELECT_DELETING = sa.select(*COLUMNS).where(files.c.status == FileStatus.DELETING).order_by(files.c.sequence)
DRAW_SEQUENCE = (
    sa.update(counters)
    .where(counters.c.name == FILE_SEQUENCE)
    .values(value=counters.c.value + 1)
    .returning(counters.c.value)
)
SELECT_CLAIMED = sa.select(sa.func.count()).where(IS_THE_FILE, files.c.lease_until > sa.bindparam("now"))
SELECT_OWNERS = sa.select(files.c.lease_owner).where(files.c.lease_owner.is_not(None)).distinct()
RENEW = sa.update(files).where(IS_HELD).values(lease_until=sa.bindparam("until"))
RENEW_WITH_PROGRESS = RENEW.values(progress=sa.bindparam("how_far"))
RELEASE = sa.update(files).where(IS_OF_CLAIM).values(NO_LEASE | {"attempt": files.c.attempt - 1})
PUBLISH = sa.update(files).where(IS_HELD).values(NO_LEASE)
FORFEIT = sa.update(files).where(files.c.lease_owner.in_(sa.bindparam("owners", expanding=True))).values(NO_LEASE)
REQUEUE = (
    sa.update(files)
    .where(IS_THE_FILE, files.c.status.in_([FileStatus.PROCESSED, FileStatus.ERROR]))
    .values(asdict(Outcome(status=FileStatus.UPLOADED)) | {"attempt": 0})
)
MARK_DELETING = sa.update(files).where(IS_THE_FILE, IS_VISIBLE).values(status=FileStatus.DELETING)
REMOVE = sa.delete(files).where(IS_THE_FILE, files.c.status == FileStatus.DELETING).returning(files.c.sequence)


class SqlFiles:
    """``FileStore`` on a SQL database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def add(self, file: File, *, quota: Quota | None = None) -> File:
        """Insert a file; see ``FileStore.add``.

        Raises:
            QuotaExceeded: the workspace may not hold it.
            ValueError: the workspace has a file of that id; ids are random, so a caller used one twice.
        """
        return await self._connections.write(lambda connection: _add(connection, file, quota))

    async def get(self, workspace: str, file_id: str) -> File | None:
        """Return a visible file; see ``FileStore.get``."""
        found = await self._connections.read(lambda c: _files(c, SELECT_ONE, w=workspace, i=file_id))
        return found[0] if found else None

    async def get_many(self, workspace: str, file_ids: Sequence[str]) -> dict[str, File]:
        """Return the visible ones of some files; see ``FileStore.get_many``."""
        found = await self._connections.read(lambda c: _files(c, SELECT_MANY, w=workspace, ids=list(file_ids)))
        return {file.id: file for file in found}

    async def page(
        self, workspace: str, *, which: FileFilter, after: str | None, limit: int, ascending: bool = False
    ) -> tuple[list[File], bool]:
        """List by cursor; see ``FileStore.page``. A removed file still serves as ``after`` for a long while."""
        order = files.c.sequence.asc() if ascending else files.c.sequence.desc()
        query = sa.select(*COLUMNS).where(*_conditions(workspace, which)).order_by(order).limit(limit + 1)
        if after is not None:
            place = _place(workspace, after)
            query = query.where(files.c.sequence > place if ascending else files.c.sequence < place)
        found = await self._connections.read(lambda connection: _files(connection, query))
        return found[:limit], len(found) > limit

    async def numbered_page(self, workspace: str, *, number: int, size: int) -> tuple[list[File], int]:
        """List by number; see ``FileStore.numbered_page``. Page and total are of one moment."""
        query = (
            sa.select(*COLUMNS)
            .where(files.c.workspace == workspace, IS_VISIBLE)
            .order_by(files.c.sequence.desc())
            .offset((number - 1) * size)
            .limit(size)
        )
        return await self._connections.read(
            lambda c: (_files(c, query), c.execute(SELECT_TOTALS, {"w": workspace}).one()[0])
        )

    async def totals(self, workspace: str) -> tuple[int, int]:
        """Count files and bytes; see ``FileStore.totals``."""
        return await self._connections.read(lambda connection: _totals(connection, workspace))

    async def workspaces(self) -> list[str]:
        """Return the workspaces with files; see ``FileStore.workspaces``."""
        return await self._connections.read(lambda c: list(c.execute(SELECT_WORKSPACES).scalars()))

    async def census(self, workspace: str | None) -> list[HeldFiles]:
        """Count by state; see ``FileStore.census``."""
        query = COUNT_BY_STATUS if workspace is None else COUNT_BY_STATUS.where(files.c.workspace == workspace)
        rows = await self._connections.read(lambda c: c.execute(query).all())
        return [
            HeldFiles(workspace=owner, status=FileStatus(status), n_files=n_files, n_bytes=int(n_bytes))
            for owner, status, n_files, n_bytes in rows
        ]

    async def mark_deleting(self, workspace: str, file_id: str) -> bool:
        """Make a file invisible; see ``FileStore.mark_deleting``."""
        values = {"w": workspace, "i": file_id}
        return await self._connections.write(lambda c: c.execute(MARK_DELETING, values).rowcount == 1, makes_room=True)

    async def remove(self, workspace: str, file_id: str) -> None:
        """Remove the row, then wipe it from the files of the database; see ``FileStore.remove``."""
        await self._connections.write(lambda connection: _remove(connection, workspace, file_id), makes_room=True)
        self._connections.scrub_soon()

    async def being_deleted(self) -> list[File]:
        """Return files marked as deleting; see ``FileStore.being_deleted``."""
        return await self._connections.read(lambda connection: _files(connection, SELECT_DELETING))

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        """Claim by one UPDATE; see ``FileStore.claim``."""
        until = now + timedelta(seconds=lease_s)
        values = {"owner": owner, "until": until, "now": now, "share": share}
        row = await self._connections.write(lambda c: c.execute(CLAIM, values).mappings().one_or_none())
        if row is None:
            return None
        fields = dict(row)
        fence = fields.pop("fence")
        return Claim(file=File(**fields), owner=owner, fence=fence, lease_until=until)

    async def renew(self, claim: Claim, *, now: datetime, lease_s: float, progress: Progress | None = None) -> bool:
        """Prolong a claim; see ``FileStore.renew``. Without a progress the last one stays."""
        until = now + timedelta(seconds=lease_s)
        if progress is None:
            return await self._changes_one(RENEW, **_holder(claim), until=until)
        return await self._changes_one(RENEW_WITH_PROGRESS, **_holder(claim), until=until, how_far=progress)

    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        """Write the final state by compare-and-set; see ``FileStore.publish``."""
        return await self._changes_one(PUBLISH.values(asdict(outcome)), **_holder(claim))

    async def release(self, claim: Claim) -> None:
        """Give a claim back, its attempt too; see ``FileStore.release``."""
        await self._changes_one(RELEASE, **_holder(claim))

    async def is_claimed(self, workspace: str, file_id: str, *, now: datetime) -> bool:
        """Look for a lease that holds; see ``FileStore.is_claimed``."""
        values = {"w": workspace, "i": file_id, "now": now}
        return await self._connections.read(lambda c: c.execute(SELECT_CLAIMED, values).scalar_one() > 0)

    async def owners(self) -> set[str]:
        """Return who has a lease; see ``FileStore.owners``."""
        return await self._connections.read(lambda c: set(c.execute(SELECT_OWNERS).scalars()))

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of the dead; see ``FileStore.forfeit``."""
        values = {"owners": list(owners)}
        return await self._connections.write(lambda connection: connection.execute(FORFEIT, values).rowcount)

    async def requeue(self, workspace: str, file_id: str) -> bool:
        """Have a file ingested anew; see ``FileStore.requeue``."""
        return await self._changes_one(REQUEUE, w=workspace, i=file_id)

    async def _changes_one(self, statement: sa.Update, **values: Any) -> bool:
        return await self._connections.write(lambda connection: connection.execute(statement, values).rowcount == 1)


def _add(connection: sa.Connection, file: File, quota: Quota | None) -> File:
    if quota is not None:
        quota.check(_totals(connection, file.workspace), size_bytes=file.size_bytes)
    ensure_workspace(connection, file.workspace, created_at=file.created_at)
    fields = asdict(file) | {"sequence": connection.execute(DRAW_SEQUENCE).scalar_one()}
    try:
        connection.execute(sa.insert(files), fields | {"fence": 0})
    except IntegrityError as error:
        raise ValueError(f"The workspace has a file {file.id} already.") from error
    return File(**fields)


def _totals(connection: sa.Connection, workspace: str) -> tuple[int, int]:
    n_files, n_bytes = connection.execute(SELECT_TOTALS, {"w": workspace}).one()
    return n_files, int(n_bytes)


def _remove(connection: sa.Connection, workspace: str, file_id: str) -> None:
    sequence = connection.execute(REMOVE, {"w": workspace, "i": file_id}).scalar_one_or_none()
    if sequence is None:
        return
    connection.execute(sa.insert(removed_files), {"workspace": workspace, "id": file_id, "sequence": sequence})
    newest = sa.select(counters.c.value).where(counters.c.name == FILE_SEQUENCE).scalar_subquery()
    connection.execute(sa.delete(removed_files).where(removed_files.c.sequence < newest - N_REMOVED_KEPT))


def _files(connection: sa.Connection, query: sa.Select[Any], **values: Any) -> list[File]:
    return [File(**row) for row in connection.execute(query, values).mappings()]


def _conditions(workspace: str, which: FileFilter) -> list[sa.ColumnElement[bool]]:
    conditions = [files.c.workspace == workspace, IS_VISIBLE]
    if which.purpose is not None:
        conditions.append(files.c.purpose == which.purpose)
    if which.created_after is not None:
        conditions.append(files.c.created_at > which.created_after)
    if which.created_before is not None:
        conditions.append(files.c.created_at < which.created_before)
    return conditions


def _place(workspace: str, file_id: str) -> sa.ScalarSelect[int]:
    """Return where a file stands or stood; NULL, which no sequence compares with, when it is unknown."""
    there = [
        sa.select(table.c.sequence).where(table.c.workspace == workspace, table.c.id == file_id)
        for table in (files, removed_files)
    ]
    return sa.union_all(*there).limit(1).scalar_subquery()


def _holder(claim: Claim) -> dict[str, Any]:
    return {"w": claim.file.workspace, "i": claim.file.id, "f": claim.fence, "o": claim.owner}
