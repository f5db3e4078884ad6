"""The pool of contained parsers: one child per file, so many at once, within a deadline, tried again where that helps.

Owns the zygote process and restarts it. Knows no store: a file and an artifact are paths here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from msgspec import Struct

from longscroll.documents.messages import ChildEnded, ParseDone, ParseFailed, ParseProgress, ParseTask
from longscroll.documents.zygote import Child, NoZygote, Zygote, ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.storage.space import needing_space

OnProgress = Callable[[ParseProgress], None]

log = structlog.get_logger()


class ParserOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one file may cost."""

    stall_s: float = 15.0  # without progress of a page
    max_pages: int = 15_000
    memory_bytes: int = 352 << 20  # private memory of a child, beyond what it begins with
    max_artifact_bytes: int = 2 << 30
    cpu_s: int = 60
    cpu_s_per_mb: float = 1.0
    max_tries: int = 2  # of a file whose child was killed by a signal that was not ours
    max_zygotes: int = 3  # that one file may see die


class Parsers:
    """Parses files in contained children; an async context manager, or ``start`` and ``stop``."""

    def __init__(self, *, n_children: int = 0, options: ParserOptions | None = None) -> None:
        self.n_children = n_children or os.cpu_count() or 1
        self._options = options or ParserOptions()
        self._slots = asyncio.Semaphore(self.n_children)
        self._starting = asyncio.Lock()
        self._zygote: Zygote | None = None
        self._is_stopped = False
        self._n_tasks = 0

    async def start(self) -> None:
        """Start the zygote; it loads its libraries while the service goes on."""
        await self._running_zygote()

    async def stop(self) -> None:
        """End the zygote and all children; there will be no other."""
        async with self._starting:
            self._is_stopped = True
            if self._zygote is not None:
                await self._zygote.close()
                self._zygote = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def parse(self, file: Path, artifact: Path, *, filename: str, on_progress: OnProgress) -> ParseDone:
        """Parse a file and write its artifact to a fresh path; cancelling this ends the child.

        Raises:
            DocumentError: there is no document in the file, or it cannot be read within the limits.
            StorageFull: no space is left for the artifact.
            ZygoteLost: parser processes die again and again while they have the file.
            NoZygote: none can be started; this has nothing to do with the file.
        """
        n_killed = n_lost = 0
        while True:
            try:
                async with self._slots:
                    ended = await self._try(file, artifact, filename, on_progress)
            except ZygoteLost:
                n_lost += 1
                log.warning("parsers.zygote_lost", n_lost=n_lost)
                if n_lost >= self._options.max_zygotes:
                    raise
                continue
            if isinstance(ended, ParseDone):
                return ended
            n_killed += 1
            if n_killed >= self._options.max_tries or ended.signal == signal.SIGXCPU:
                raise _crash(ended)

    async def _try(self, file: Path, artifact: Path, filename: str, on_progress: OnProgress) -> ParseDone | ChildEnded:
        """Run one child; ChildEnded means that it left without a word."""
        zygote = await self._running_zygote()
        async with _opened(file, artifact) as (file_descriptor, artifact_descriptor):
            task = self._task(filename, os.fstat(file_descriptor).st_size)
            child = await zygote.begin(task, file=file_descriptor, artifact=artifact_descriptor)
        try:
            return await self._listen(child, on_progress)
        finally:
            zygote.kill(child)

    async def _listen(self, child: Child, on_progress: OnProgress) -> ParseDone | ChildEnded:
        while True:
            try:
                async with asyncio.timeout(self._options.stall_s):
                    event = await child.next()
            except TimeoutError:
                raise DocumentError(
                    DocumentErrorKind.TIMEOUT,
                    f"Reading the file made no progress for {self._options.stall_s:.0f} seconds.",
                ) from None
            if isinstance(event, ParseProgress):
                on_progress(event)
            elif isinstance(event, ParseFailed):
                if event.kind is None:
                    raise StorageFull(event.details)
                raise DocumentError(event.kind, event.details)
            else:
                return event

    def _task(self, filename: str, size_bytes: int) -> ParseTask:
        options = self._options
        self._n_tasks += 1
        return ParseTask(
            task=self._n_tasks,
            filename=filename,
            max_pages=options.max_pages,
            memory_bytes=options.memory_bytes,
            artifact_bytes=options.max_artifact_bytes,
            cpu_s=options.cpu_s + int(options.cpu_s_per_mb * size_bytes / 1e6),
        )

    async def _running_zygote(self) -> Zygote:
        async with self._starting:
            if self._is_stopped:
                raise NoZygote
            if self._zygote is not None and self._zygote.is_lost:
                await self._zygote.close()
                self._zygote = None
            if self._zygote is None:
                try:
                    self._zygote = await Zygote.start()
                except OSError as error:
                    raise NoZygote from error
            return self._zygote


@asynccontextmanager
async def _opened(file: Path, artifact: Path) -> AsyncIterator[tuple[int, int]]:
    opening = asyncio.create_task(asyncio.to_thread(_open, file, artifact))
    try:
        descriptors = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise
    try:
        yield descriptors
    finally:
        _close(descriptors)


def _close_opened(opening: asyncio.Task[tuple[int, int]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())


def _close(descriptors: tuple[int, int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _open(file: Path, artifact: Path) -> tuple[int, int]:
    file_descriptor = os.open(file, os.O_RDONLY)
    try:
        with needing_space("store the text of the file"):
            return file_descriptor, os.open(artifact, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except (OSError, StorageFull):
        os.close(file_descriptor)
        raise


def _crash(ended: ChildEnded) -> DocumentError:
    if ended.signal == signal.SIGXCPU:
        return DocumentError(DocumentErrorKind.TIMEOUT, "The file takes more time to be read than a file may take.")
    name = signal.Signals(ended.signal).name if ended.signal else "no signal"
    log.warning("parsers.child_killed", signal=name)
    return DocumentError(DocumentErrorKind.CORRUPT, "The file made its parser fail; it is damaged or built to do harm.")
