"""Ingestion: every uploaded file becomes ``processed`` or ``error``, once, whatever dies meanwhile.

Owns which files this process takes up, when, and who watches them. The row is the queue: a file is claimed, held by a
lease and published under the claim's fence (``claimed``); what a dead process held is taken up at once where its death
is known, else when its lease ends. What is not the file's fault (no space, no parser, a store that fails, the end of
this process) never ends a file: all pause, then it is tried again. Knows no wire format, no quota and no parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

import structlog
from msgspec import Struct

from longscroll.documents.claimed import ClaimedFile, IngestOptions, ParserPool, Rooms
from longscroll.documents.zygote import NoZygote, ZygoteLost
from longscroll.errors import DocumentErrorKind, StorageFull
from longscroll.storage.base import BlobStore, Claim, FileStore, Presence
from longscroll.tasks import to_the_end, without_end
from longscroll.telemetry import Moment, reached
from longscroll.types import FileStatus, Progress

__all__ = ["Failed", "Ingest", "IngestOptions", "Ready"]

MAX_DOUBLINGS = 10
"""Of the pause after setbacks; the numbers stay small however long a disk is full."""

FILES_PER_PARSER = 3
"""At once, over all workspaces, where the first of them take long."""

SHARE_PER_PARSER = 2
"""At once, of one workspace: files that go on for ever must leave room for the files of others."""

LET_GO_LOOK_S = 0.05
"""Between two looks at whether another process has let go of a file that is being deleted."""

Key = tuple[str, str]  # workspace, file id

log = structlog.get_logger()


class Ready(Struct, frozen=True):
    """The file is processed; its artifact is there."""


class Failed(Struct, frozen=True):
    """The file ended in an error; without a ``kind`` it is gone."""

    kind: DocumentErrorKind | None
    details: str


class _Running(Struct):
    """A file that this process has claimed."""

    file: ClaimedFile
    task: asyncio.Task[None]
    began: float


class Ingest:
    """The ingestion of one process; an async context manager, or ``start`` and ``stop``."""

    def __init__(
        self,
        files: FileStore,
        blobs: BlobStore,
        parsers: ParserPool,
        *,
        presence: Presence,
        clock: Callable[[], datetime],
        options: IngestOptions | None = None,
    ) -> None:
        self._rooms = Rooms(files, blobs, parsers, clock)
        self._presence = presence
        self._options = options or IngestOptions()
        self._running: dict[Key, _Running] = {}
        self._watchers: dict[Key, set[asyncio.Event]] = {}
        self._wake = asyncio.Event()
        self._owed: list[Claim] = []  # to be let go as soon as the store takes it
        self._resume_at = 0.0
        self._n_setbacks = 0  # since a file was brought to its end
        self._is_draining = False
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def n_running(self) -> int:
        """How many files this process has claimed."""
        return len(self._running)

    async def start(self) -> None:
        """Begin to take files."""
        self._loop_task = asyncio.create_task(without_end(self._take, self._log_failure))

    def drain(self) -> None:
        """Take no more files; those under way go on."""
        self._is_draining = True

    async def stop(self) -> None:
        """Take no more files, end what runs and give its claims back."""
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.wait([self._loop_task])
            self._loop_task = None
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        with suppress(StorageFull):
            await self._settle_debts()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def notify(self) -> None:
        """Say that there is a new file; without it, it is found by polling."""
        self._wake.set()

    async def cancel(self, workspace: str, file_id: str) -> None:
        """End the parse of a file that is being deleted, in whichever process; then nothing of it is written any more.

        A process that neither lets go nor is known to be dead is given until its lease ends.
        """
        key = workspace, file_id
        self._say_changed(key)
        if key in self._running:
            task = self._running[key].task
            task.cancel()
            await asyncio.wait([task])
        rooms, loop = self._rooms, asyncio.get_running_loop()
        until = loop.time() + self._options.lease_s
        while loop.time() < until and await rooms.files.is_claimed(workspace, file_id, now=rooms.clock()):
            await asyncio.sleep(LET_GO_LOOK_S)
            await self._forfeit_the_dead()

    def progress(self, workspace: str, file_id: str) -> Progress | None:
        """Return how far the parse of a file is, when it is under way in this process."""
        running = self._running.get((workspace, file_id))
        return running.file.progress if running is not None else None

    async def watch(self, workspace: str, file_id: str) -> AsyncGenerator[Progress | Ready | Failed, None]:
        """Follow a file: Progress when it changes, then Ready or Failed, the last. Any process may be parsing it."""
        key = workspace, file_id
        changed = asyncio.Event()
        self._watchers.setdefault(key, set()).add(changed)
        last: Progress | None = None
        try:
            while True:
                changed.clear()
                event = self.progress(*key) or await self._state(*key)
                if not isinstance(event, Progress):
                    yield event
                    return
                if event != last:
                    last = event
                    yield event
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._options.poll_s):
                        await changed.wait()
        finally:
            self._watchers[key].discard(changed)
            if not self._watchers[key]:
                del self._watchers[key]

    async def _state(self, workspace: str, file_id: str) -> Progress | Ready | Failed:
        file = await self._rooms.files.get(workspace, file_id)
        if file is None:
            return Failed(None, "The file was deleted.")
        if file.status == FileStatus.PROCESSED:
            return Ready()
        if file.status == FileStatus.ERROR:
            return Failed(file.error_kind, file.status_details or "")
        return file.progress or Progress(stage="queued", file_id=file_id)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            await asyncio.sleep(max(0.0, self._resume_at - loop.time()))
            try:
                await self._settle_debts()
                await self._forfeit_the_dead()
                await self._claim_files()
            except StorageFull:
                self._back_off("ingest.no_space")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_s):
                    await self._wake.wait()

    async def _forfeit_the_dead(self) -> None:
        """End the leases of processes that are known to be dead, and remove what they left half done."""
        others = await self._rooms.files.owners() - {self._presence.owner}
        dead = await self._presence.dead(others) if others else set()
        if dead:
            n_files = await self._rooms.files.forfeit(dead)
            await self._rooms.blobs.sweep_staging()
            log.warning("ingest.taken_over", n_processes=len(dead), n_files=n_files)

    async def _claim_files(self) -> None:
        while self._has_room():
            claim = await self._rooms.files.claim(
                self._presence.owner,
                now=self._rooms.clock(),
                lease_s=self._options.lease_s,
                share=SHARE_PER_PARSER * self._rooms.parsers.n_children,
            )
            if claim is None or (claim.file.workspace, claim.file.id) in self._running:
                return  # in the second case a lease was lost, and what runs under it will notice
            reached(Moment.CLAIMED)
            self._begin(claim)

    def _has_room(self) -> bool:
        """Whether to take another file: a long one must not keep short ones waiting for its parser."""
        now, n_children = asyncio.get_running_loop().time(), self._rooms.parsers.n_children
        n_young = sum(now - running.began < self._options.young_s for running in self._running.values())
        is_open = not self._is_draining and now >= self._resume_at
        return is_open and n_young < n_children and len(self._running) < FILES_PER_PARSER * n_children

    async def _settle_debts(self) -> None:
        while self._owed:
            await self._rooms.files.release(self._owed[-1])
            self._owed.pop()

    def _back_off(self, reason: str) -> None:
        """Take no file for a while, each time longer; said once, however many files met the same obstacle."""
        now = asyncio.get_running_loop().time()
        if now < self._resume_at:
            return
        pause_s = min(self._options.backoff_s * 2.0**self._n_setbacks, self._options.max_backoff_s)
        self._n_setbacks = min(self._n_setbacks + 1, MAX_DOUBLINGS)
        self._resume_at = now + pause_s
        log.warning(reason, retry_in_s=pause_s)

    def _begin(self, claim: Claim) -> None:
        key = claim.file.workspace, claim.file.id
        claimed = ClaimedFile(claim, self._rooms, self._options, on_change=lambda: self._say_changed(key))
        task = asyncio.create_task(self._ingest(claimed))
        self._running[key] = _Running(claimed, task, asyncio.get_running_loop().time())
        task.add_done_callback(lambda task: self._end(key, task))
        self._say_changed(key)

    def _end(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._running[key]
        self._log_failure(task)
        self._say_changed(key)
        self._wake.set()

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("ingest.failed", error=type(error).__name__, exc_info=error)
            self._back_off("ingest.pauses")

    def _say_changed(self, key: Key) -> None:
        for changed in self._watchers.get(key, ()):
            changed.set()

    async def _ingest(self, file: ClaimedFile) -> None:
        """Bring one file to its end, or let it go."""
        is_over = False
        try:
            is_over = await file.ingest()
            self._n_setbacks = 0
        except (StorageFull, NoZygote) as error:
            self._back_off("ingest.no_space" if isinstance(error, StorageFull) else "ingest.no_parser")
        except ZygoteLost:
            is_over = True  # for this process, until the lease ends: the attempt counts
            log.warning("ingest.parser_lost", file_id=file.claim.file.id)
        finally:
            if not is_over:
                await to_the_end(self._let_go(file.claim))

    async def _let_go(self, claim: Claim) -> None:
        """Release a claim that came to no end; on a full disk that is owed, and done before a file is claimed again."""
        try:
            await self._rooms.files.release(claim)
        except StorageFull:
            self._owed.append(claim)
