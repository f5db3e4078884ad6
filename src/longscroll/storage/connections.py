"""The threads that a database is used from: one that writes, a few that read.

Owns group commit, what waits for the disk, and the bounds of both queues. Knows no table and no dialect: it is given
``writing`` and ``reading``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa
import structlog
from msgspec import Struct

from longscroll.errors import Overloaded, StorageFull
from longscroll.telemetry import Moment, reached

T = TypeVar("T")

SCRUB_PAUSE_S = 0.01  # before a scrub that somebody stood in the way of is tried again; doubles
MAX_SCRUB_PAUSE_S = 0.5

_log = structlog.get_logger(__name__)


class Backend(Protocol):
    """What a dialect offers; see ``sqlite`` for the promises."""

    def writing(self, *, is_forced: bool = True) -> AbstractContextManager[sa.Connection]:
        """Open a writing transaction. One that is not forced survives its process, and a power cut after ``force``."""

    def force(self) -> None:
        """Force to the disk what is committed."""

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Open a snapshot."""

    def scrub(self) -> bool:
        """Wipe what was deleted; False to be asked again."""

    def spend_reserve(self) -> None:
        """Make a little room on a full disk, where some was kept for that."""

    def close(self) -> None:
        """Close every connection."""


class ConnectionOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the queues to the database, and of what a power cut can take."""

    n_readers: int = 4
    max_waiting_writes: int = 10_000
    max_waiting_reads: int = 10_000
    max_group: int = 256  # writes in one commit
    force_within_s: float = 1.0  # until the disk has a write that was not forced


class _Write(Generic[T]):
    """One write on its way; ``is_committed`` becomes False when its group was rolled back and it must go alone."""

    __slots__ = ("is_committed", "is_forced", "result", "work")

    def __init__(self, work: Callable[[sa.Connection], T], *, is_forced: bool) -> None:
        self.work = work
        self.is_forced = is_forced
        self.result: T
        self.is_committed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Connections:
    """Runs functions of a connection in the right thread.

    All writes that wait while a commit is under way share the next one: one wait for the disk acknowledges them all.
    There is no such wait for a group of which none is to be forced; the disk has it a second later.
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
        self._forcing: asyncio.TimerHandle | None = None

    async def write(self, work: Callable[[sa.Connection], T], *, makes_room: bool = False, is_forced: bool = True) -> T:
        """Run ``work`` in the writing thread and return its result once it is durable.

        A write that was asked for is carried out even when its caller is canceled. One that ``makes_room`` may use what
        the disk holds in reserve. One that is not ``is_forced`` survives the end of the process, however it ends, and a
        moment later a power cut.

        Raises:
            Overloaded: too many writes wait, or another process held the database for too long.
            StorageFull: no space is left; nothing was written.
        """
        try:
            return await self._write(work, is_forced=is_forced)
        except StorageFull:
            if not makes_room:
                raise
            await _uncanceled(self._writer.submit(self._backend.spend_reserve))
            return await self._write(work, is_forced=is_forced)

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
        if self._forcing is not None:
            self._forcing.cancel()
            self._begin_force()
        await asyncio.to_thread(self._close)

    async def _write(self, work: Callable[[sa.Connection], T], *, is_forced: bool) -> T:
        if len(self._waiting) >= self._options.max_waiting_writes:
            raise Overloaded("Too many writes wait for the database; ask again later.")
        loop = asyncio.get_running_loop()
        write = _Write(work, is_forced=is_forced)
        self._waiting.append(write)
        self._writer.submit(self._commit_group, loop)
        try:
            if await write.is_committed:
                return write.result
            return await _uncanceled(self._writer.submit(self._commit_alone, write))
        finally:
            if not is_forced and self._forcing is None:
                self._forcing = loop.call_later(self._options.force_within_s, self._begin_force)

    def _begin_force(self) -> None:
        self._forcing = None
        self._writer.submit(self._force)

    def _force(self) -> None:
        try:
            self._backend.force()
        except OSError as error:
            _log.error("what is committed was not forced to the disk", reason=error.strerror)

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

    def _commit_group(self, loop: asyncio.AbstractEventLoop) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._options.max_group))]
        if not group:  # an earlier call took them all
            return
        outcome: bool | Overloaded | StorageFull = False
        try:
            self._commit(group)
            outcome = True
        except (Overloaded, StorageFull) as error:  # the state of the database: alone they would fare no better
            outcome = error
        finally:
            loop.call_soon_threadsafe(_tell, group, outcome)

    def _commit(self, group: list[_Write[Any]]) -> None:
        with self._backend.writing(is_forced=any(write.is_forced for write in group)) as connection:
            for write in group:
                write.result = write.work(connection)
            reached(Moment.ROW_WRITTEN)
        reached(Moment.ROW_COMMITTED)

    def _commit_alone(self, write: _Write[T]) -> T:
        self._commit([write])
        return write.result

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        with self._backend.reading() as connection:
            return query(connection)


def _tell(group: list[_Write[Any]], outcome: bool | Overloaded | StorageFull) -> None:
    """Tell everybody at once what became of their group; some may no longer wait."""
    for write in group:
        if write.is_committed.done():
            continue
        if isinstance(outcome, bool):
            write.is_committed.set_result(outcome)
        else:
            write.is_committed.set_exception(outcome)


async def _uncanceled(future: Future[T]) -> T:
    return await asyncio.shield(asyncio.wrap_future(future))
