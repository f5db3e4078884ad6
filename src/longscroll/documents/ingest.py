"""Ingestion: every uploaded file becomes ``processed`` or ``error``, once, whatever dies meanwhile.

Owns the state machine, its leases and who watches it. The row is the queue: a file is claimed, its lease renewed while
a child parses it, and the end published only under the claim's fence; the artifact is in place before that. What is not
the file's fault (no space, no parser, a store that fails, the end of this process) never ends a file: all pause, then
it is tried again. Knows no wire format, no quota and no parser.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog
from msgspec import Struct

from longscroll.documents.messages import ParseDone, ParseProgress
from longscroll.documents.zygote import NoZygote, ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.storage.base import BlobStore, Claim, FileStore, Outcome, blob_prefix
from longscroll.types import File, FileStatus, Progress

ARTIFACT = "artifact"
"""The name, under a file's prefix, of what parsing made of it."""

BYTES = "bytes"
"""The name, under a file's prefix, of the bytes as uploaded."""

MAX_DOUBLINGS = 10
"""Of the pause after setbacks; the numbers stay small however long a disk is full."""

Key = tuple[str, str]  # workspace, file id

log = structlog.get_logger()


class IngestOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How claims are held and how often the rows are looked at when nothing is said."""

    lease_s: float = 3.0  # after this the files of a dead process are taken up again
    poll_s: float = 2.0  # for what other processes do
    backoff_s: float = 5.0  # after a failure that is not the file's; doubles while nothing gets done
    max_backoff_s: float = 60.0
    max_attempts: int = 100  # claims that came to no end: a file that takes its machine down is not read for ever


class Ready(Struct, frozen=True):
    """The file is processed; its artifact is there."""


class Failed(Struct, frozen=True):
    """The file ended in an error; without a ``kind`` it is gone."""

    kind: DocumentErrorKind | None
    details: str


class ParserPool(Protocol):
    """What ingestion needs of ``Parsers``."""

    n_children: int

    async def parse(
        self, file: Path, artifact: Path, *, filename: str, on_progress: Callable[[ParseProgress], None]
    ) -> ParseDone:
        """Parse a file and write its artifact; see ``Parsers.parse``."""


class _Running(Struct):
    """A file that this process has claimed."""

    task: asyncio.Task[None]
    progress: Progress


class Ingest:
    """The ingestion of one process; an async context manager, or ``start`` and ``stop``."""

    def __init__(
        self,
        files: FileStore,
        blobs: BlobStore,
        parsers: ParserPool,
        *,
        clock: Callable[[], datetime],
        options: IngestOptions | None = None,
    ) -> None:
        self._files = files
        self._blobs = blobs
        self._parsers = parsers
        self._clock = clock
        self._options = options or IngestOptions()
        self._owner = secrets.token_hex(8)
        self._running: dict[Key, _Running] = {}
        self._watchers: dict[Key, set[asyncio.Event]] = {}
        self._wake = asyncio.Event()
        self._owed: list[Claim] = []  # to be given back as soon as the store takes it
        self._resume_at = 0.0
        self._n_setbacks = 0  # since a file was brought to its end
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take files."""
        self._loop_task = asyncio.create_task(self._keep_taking())

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

    def cancel(self, workspace: str, file_id: str) -> asyncio.Future[None]:
        """End the parse of a file that is being deleted; once awaited, nothing of it is written any more."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        running = self._running.get((workspace, file_id))
        if running is None:
            ended.set_result(None)
        else:
            running.task.add_done_callback(lambda _: _set(ended))
            running.task.cancel()
        self._say_changed((workspace, file_id))
        return ended

    def progress(self, workspace: str, file_id: str) -> Progress | None:
        """Return how far the parse of a file is, when it is under way in this process."""
        running = self._running.get((workspace, file_id))
        return running.progress if running is not None else None

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
        file = await self._files.get(workspace, file_id)
        if file is None:
            return Failed(None, "The file was deleted.")
        if file.status == FileStatus.PROCESSED:
            return Ready()
        if file.status == FileStatus.ERROR:
            return Failed(file.error_kind, file.status_details or "")
        return Progress(stage="queued", file_id=file_id)

    async def _keep_taking(self) -> None:
        """Run ``_take`` for ever; when a store fails under it, say so and begin again."""
        while True:
            taking = asyncio.create_task(self._take())
            try:
                await asyncio.wait([taking])
            finally:
                taking.cancel()
                await asyncio.wait([taking])
            self._log_failure(taking)

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            await asyncio.sleep(max(0.0, self._resume_at - loop.time()))
            try:
                await self._settle_debts()
                await self._claim_files()
            except StorageFull:
                self._back_off("ingest.no_space")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_s):
                    await self._wake.wait()

    async def _claim_files(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._running) < self._parsers.n_children and loop.time() >= self._resume_at:
            claim = await self._files.claim(self._owner, now=self._clock(), lease_s=self._options.lease_s)
            if claim is None or (claim.file.workspace, claim.file.id) in self._running:
                return  # in the second case a lease was lost, and what runs under it will notice
            self._begin(claim)

    async def _give_back(self, claim: Claim) -> None:
        """Release a claim; on a full disk that is owed, and done before a file is claimed again."""
        try:
            await self._files.release(claim)
        except StorageFull:
            self._owed.append(claim)

    async def _settle_debts(self) -> None:
        while self._owed:
            await self._files.release(self._owed[-1])
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
        task = asyncio.create_task(self._ingest(claim))
        self._running[key] = _Running(task, Progress(stage="parsing", file_id=claim.file.id))
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

    async def _ingest(self, claim: Claim) -> None:
        """Bring one file to its end, or give it back."""
        staged = self._blobs.staging_path()
        parsing = asyncio.create_task(self._parse(claim.file, staged))
        try:
            if await self._hold(claim, parsing):
                await _to_the_end(self._publish(claim, parsing.result(), staged))
                self._n_setbacks = 0
        except (StorageFull, NoZygote) as error:
            self._back_off("ingest.no_space" if isinstance(error, StorageFull) else "ingest.no_parser")
            await self._give_back(claim)
        except ZygoteLost:  # taken up again when its lease is over; the attempt counts
            log.warning("ingest.parser_lost", file_id=claim.file.id)
        except asyncio.CancelledError:
            await self._give_back(claim)
            raise
        finally:
            parsing.cancel()
            await asyncio.wait([parsing])
            await asyncio.to_thread(staged.unlink, missing_ok=True)

    async def _hold(self, claim: Claim, parsing: asyncio.Task[Outcome]) -> bool:
        """Renew the lease until the parse ends; False when the lease is lost first."""
        lease_s = self._options.lease_s
        while True:
            done, _ = await asyncio.wait([parsing], timeout=lease_s / 3)
            if done:
                return True
            if not await self._files.renew(claim, now=self._clock(), lease_s=lease_s):
                return False

    async def _parse(self, file: File, staged: Path) -> Outcome:
        """Return the end that the file has come to, its artifact staged where there is one."""
        path = await self._blobs.local_path(blob_prefix(file.workspace, file.id) + BYTES)
        if path is None:
            return _error(DocumentErrorKind.CORRUPT, "The stored bytes of the file are missing; upload it again.")
        if file.attempt > self._options.max_attempts:
            return _error(DocumentErrorKind.CORRUPT, f"Reading the file was broken off {file.attempt - 1} times.")
        try:
            done = await self._parsers.parse(path, staged, filename=file.filename, on_progress=self._reporter(file))
        except DocumentError as error:
            return _error(error.kind, str(error))
        return Outcome(
            status=FileStatus.PROCESSED,
            status_details=done.details,
            n_pages=done.n_pages,
            n_chars=done.n_chars,
            n_tokens=done.n_tokens,
        )

    def _reporter(self, file: File) -> Callable[[ParseProgress], None]:
        key = file.workspace, file.id

        def report(progress: ParseProgress) -> None:
            self._running[key].progress = Progress(
                stage="parsing", file_id=file.id, n_done=progress.n_done, n_total=progress.n_total, unit=progress.unit
            )
            self._say_changed(key)

        return report

    async def _publish(self, claim: Claim, outcome: Outcome, staged: Path) -> None:
        """Put the artifact in place, then say so in the row; a file that was deleted meanwhile leaves nothing."""
        file = claim.file
        prefix = blob_prefix(file.workspace, file.id)
        if outcome.status == FileStatus.PROCESSED:
            await self._blobs.adopt(staged, prefix + ARTIFACT)
        is_published = await self._files.publish(claim, outcome)
        if not is_published and await self._files.get(file.workspace, file.id) is None:
            await self._blobs.delete_prefix(prefix)


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _error(kind: DocumentErrorKind, details: str) -> Outcome:
    return Outcome(status=FileStatus.ERROR, error_kind=kind, status_details=details)


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Finish ``work`` even when this is cancelled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
