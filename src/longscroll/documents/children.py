"""The contained children of a service: so many at once, each with a deadline, forked by a zygote that is kept running.

Owns the zygote: who waits for one gets the first, or the next, as soon as it is there. Knows no file's way to its
artifact, no retry and no store: files are paths here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import msgspec
import structlog

from longscroll.documents.messages import ChildEnded, ChildTask, ParseFailed, ParserReply
from longscroll.documents.spawned import keep_running
from longscroll.documents.zygote import Child, NoZygote, Zygote
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.storage.space import needing_space

RESTART_PAUSE_S = 1.0
STOOD_STILL_S = 1.0
"""A deadline that is noticed so late tells that this process was paused, not that a child is stuck."""

log = structlog.get_logger()


class Children:
    """Runs children, ``n_slots`` at once over all files, first come first served."""

    def __init__(self, *, n_slots: int, stall_s: float) -> None:
        self._stall_s = stall_s
        self._slots = asyncio.Semaphore(n_slots)
        self._n_waiting = 0
        self._numbers = count(1)
        self._zygote: asyncio.Future[Zygote] | None = None  # None until somebody needs it
        self._is_stopped = False
        self._keeper: asyncio.Task[None] | None = None
        self._has_said_landlock = False
        self._n_started = 0

    @property
    def zygote_pid(self) -> int | None:
        """The number of the zygote's process, where there is one."""
        zygote = self._current()
        return zygote.pid if zygote is not None and not zygote.is_lost else None

    @property
    def n_restarts(self) -> int:
        """How many zygotes took the place of one that was lost."""
        return max(0, self._n_started - 1)

    @property
    def are_wanted(self) -> bool:
        """Whether somebody waits for a slot."""
        return self._n_waiting > 0

    async def start(self) -> None:
        """Start the zygote; it loads its libraries while the service goes on.

        Raises:
            NoZygote: it cannot be started.
        """
        self._keeper = asyncio.create_task(keep_running(self._live, self._pause, pause_s=RESTART_PAUSE_S))
        await asyncio.shield(self._awaited())

    async def stop(self) -> None:
        """End the zygote and all children; there will be no other."""
        self._is_stopped = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._zygote is not None:
            _refuse(self._zygote)
            self._zygote = None

    @asynccontextmanager
    async def running(self, task: ChildTask, *, reads: Sequence[Path], writes: Path) -> AsyncIterator[Child]:
        """Run a child that reads these files and writes that one anew, for as long as the context lasts.

        Raises:
            StorageFull: no space is left. ZygoteLost: there is none to fork it. NoZygote: nor will there be.
        """
        async with self._slot():
            zygote = await self._running_zygote()
            async with _opened(reads, writes) as descriptors:
                child = await zygote.begin(msgspec.structs.replace(task, task=next(self._numbers)), descriptors)
            try:
                yield child
            finally:
                zygote.kill(child)

    async def reply(self, child: Child) -> ParserReply | ChildEnded:
        """Wait for what a child says next; ChildEnded means that it left without its last word.

        Raises:
            DocumentError: it failed, or says nothing any more. StorageFull: it has no space. ZygoteLost: it is gone.
        """
        event = await self._next(child)
        if isinstance(event, ParseFailed):
            raise StorageFull(event.details) if event.kind is None else DocumentError(event.kind, event.details)
        return event

    async def _next(self, child: Child) -> ParserReply | ChildEnded:
        loop = asyncio.get_running_loop()
        while True:
            deadline = loop.time() + self._stall_s
            try:
                async with asyncio.timeout_at(deadline):
                    return await child.next()
            except TimeoutError:
                if loop.time() - deadline < STOOD_STILL_S:
                    raise DocumentError(
                        DocumentErrorKind.TIMEOUT, f"Reading the file made no progress for {self._stall_s:.0f} seconds."
                    ) from None

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self._n_waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._n_waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def _running_zygote(self) -> Zygote:
        if self._is_stopped:
            raise NoZygote
        self._forget_lost()
        return await asyncio.shield(self._awaited())

    def _awaited(self) -> asyncio.Future[Zygote]:
        if self._zygote is None:
            self._zygote = asyncio.get_running_loop().create_future()
        return self._zygote

    def _current(self) -> Zygote | None:
        if self._zygote is None or not self._zygote.done() or self._zygote.exception() is not None:
            return None
        return self._zygote.result()

    def _forget_lost(self) -> None:
        """Have everybody wait for the next zygote when the one there is lost."""
        zygote = self._current()
        if zygote is not None and zygote.is_lost:
            self._zygote = asyncio.get_running_loop().create_future()

    async def _pause(self, _n_early_deaths: int, pause_s: float) -> None:
        """Refuse whoever needs a zygote, for a while."""
        log.error("parsers.no_zygote", retry_in_s=pause_s)
        self._forget_lost()
        _refuse(self._awaited())
        await asyncio.sleep(pause_s)
        self._zygote = asyncio.get_running_loop().create_future()

    async def _live(self) -> bool:
        """Run one zygote from its start to its end; returns whether it got ready."""
        self._forget_lost()
        try:
            zygote = await Zygote.start()
        except OSError as error:
            log.warning("parsers.zygote_not_started", reason=str(error))
            return False
        self._n_started += 1
        try:
            self._awaited().set_result(zygote)
            self._say_landlock(is_there=await zygote.until_ready())
            await zygote.until_lost()
        except NoZygote:
            return False
        finally:
            await zygote.close()
        log.warning("parsers.zygote_died")
        return True

    def _say_landlock(self, *, is_there: bool) -> None:
        if not is_there and not self._has_said_landlock:
            self._has_said_landlock = True
            log.warning("parsers.no_landlock", details="This kernel has no Landlock: parsers run under limits alone.")


def _refuse(waited_for: asyncio.Future[Zygote]) -> None:
    if not waited_for.done():
        waited_for.set_exception(NoZygote())
        waited_for.exception()  # it may be that nobody waits


@asynccontextmanager
async def _opened(reads: Sequence[Path], writes: Path) -> AsyncIterator[list[int]]:
    opening = asyncio.create_task(asyncio.to_thread(_open, reads, writes))
    try:
        descriptors = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda opening: _undo(opening, writes))
        raise
    try:
        yield descriptors
    finally:
        _close(descriptors)


def _undo(opening: asyncio.Task[list[int]], writes: Path) -> None:
    """Close what nobody waits for any more, and remove the empty file that nobody else knows of."""
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())
        writes.unlink(missing_ok=True)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _open(reads: Sequence[Path], writes: Path) -> list[int]:
    descriptors: list[int] = []
    try:
        for path in reads:
            descriptors.append(os.open(path, os.O_RDONLY))  # noqa: PERF401 - those that are open must be closed
        with needing_space("store the text of the file"):
            descriptors.append(os.open(writes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    except (OSError, StorageFull):
        _close(descriptors)
        raise
    return descriptors
