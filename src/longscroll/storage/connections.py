"""The threads that a database is used from: one that writes, a few that read.

Owns group commit and the bounds of both queues. Knows no table and no dialect: it is given ``writing`` and ``reading``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from longscroll.errors import Overloaded, StorageFull
from longscroll.telemetry import Moment, reached

T = TypeVar("T")

SCRUB_PAUSE_S = 0.01  # before a scrub that somebody stood in the way of is tried again; doubles
MAX_SCRUB_PAUSE_S = 0.5


class Backend(Protocol):
    """What a dialect offers; see ``sqlite`` for the promises."""

    def writing(self) -> AbstractContextManager[sa.Connection]:
        """Open a writing transaction."""

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a snapshot."""

    def scrub(self) -> bool:
        """Wipe what was deleted; False to be asked again."""

    def spend_reserve(self) -> None:
        """Make a little room on a full disk, where some was kept for that."""

    def close(self) -> None:
        """Close every connection."""


class ConnectionOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the queues to the database."""

    n_readers: int = 4
    max_waiting_writes: int = 10_000
    max_waiting_reads: int = 10_000
    max_group: int = 256  # writes in one commit


class _Write(Generic[T]):
    """One write on its way; ``is_committed`` becomes False when its group was rolled back and it must go alone."""

    __slots__ = ("is_committed", "result", "work")

    def __init__(self, work: Callable[[sa.Connection], T]) -> None:
        self.work = work
        self.result: T
        self.is_committed: Future[bool] = Future()


class Connections:
    """Runs functions of a connection in the right thread.

    All writes that wait while a commit is under way share the next one: one wait for the disk acknowledges them all.
    When one write of a group raises, the group is rolled back and each of its writes runs again in a transaction of its
    own, so an error meets its own caller only. A write must therefore change the database and nothing else.
    """

    def __init__(self, backend: Backend, options: ConnectionOptions) -> None:
        self._backend = backend
        self._options = options
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._readers = ThreadPoolExecutor(options.n_readers, thread_name_prefix="database-reader")
        self._waiting: deque[_Write[Any]] = deque()
        self._n_reading = 0
        self._is_scrub_due = False
        self._scrubbing: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[sa.Connection], T], *, makes_room: bool = False) -> T:
        """Run ``work`` in the writing thread and return its result once it is durable.

        A write that was asked for is carried out even when its caller is canceled. One that ``makes_room`` may use what
        the disk holds in reserve.

        Raises:
            Overloaded: too many writes wait, or another process held the database for too long.
            StorageFull: no space is left; nothing was written.
        """
        try:
            return await self._write(work)
        except StorageFull:
            if not makes_room:
                raise
            await _uncanceled(self._writer.submit(self._backend.spend_reserve))
            return await self._write(work)

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """Run ``query`` on a snapshot in a reading thread.

        Raises:
            Overloaded: too many reads wait.
        """
        if self._n_reading >= self._options.max_waiting_reads:
            raise Overloaded("Too many reads wait for the database; ask again later.")
        self._n_reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._query, query)
        finally:
            self._n_reading -= 1

    def scrub_soon(self) -> None:
        """Wipe what was deleted when the writes before are done, and try until it is; many calls are one."""
        self._is_scrub_due = True
        if self._scrubbing is None or self._scrubbing.done():
            self._scrubbing = asyncio.create_task(self._scrub(self._begin_scrub()))

    async def close(self) -> None:
        """Finish what waits, then close; a later call of any method raises RuntimeError."""
        if self._scrubbing is not None and not self._scrubbing.done():
            self._scrubbing.cancel()
            await asyncio.wait([self._scrubbing])
            self._begin_scrub()  # the last try
        await asyncio.to_thread(self._close)

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        if len(self._waiting) >= self._options.max_waiting_writes:
            raise Overloaded("Too many writes wait for the database; ask again later.")
        write = _Write(work)
        self._waiting.append(write)
        self._writer.submit(self._commit_group)
        if await _uncanceled(write.is_committed):
            return write.result
        return await _uncanceled(self._writer.submit(self._commit_alone, work))

    def _begin_scrub(self) -> Future[bool]:
        self._is_scrub_due = False
        return self._writer.submit(self._backend.scrub)

    async def _scrub(self, attempt: Future[bool]) -> None:
        pause_s = SCRUB_PAUSE_S
        while not await _uncanceled(attempt) or self._is_scrub_due:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_SCRUB_PAUSE_S)
            attempt = self._begin_scrub()

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._backend.close()

    def _commit_group(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._options.max_group))]
        if not group:  # an earlier call took them all
            return
        is_committed = False
        try:
            self._commit(group)
            is_committed = True
        except (Overloaded, StorageFull) as error:  # the state of the database: alone they would fare no better
            for write in group:
                write.is_committed.set_exception(error)
        finally:
            for write in group:
                if not write.is_committed.done():
                    write.is_committed.set_result(is_committed)

    def _commit(self, group: list[_Write[Any]]) -> None:
        with self._backend.writing() as connection:
            for write in group:
                write.result = write.work(connection)
            reached(Moment.ROW_WRITTEN)
        reached(Moment.ROW_COMMITTED)

    def _commit_alone(self, work: Callable[[sa.Connection], T]) -> T:
        write = _Write(work)
        self._commit([write])
        return write.result

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        with self._backend.reading() as connection:
            return query(connection)


async def _uncanceled(future: Future[T]) -> T:
    return await asyncio.shield(asyncio.wrap_future(future))
