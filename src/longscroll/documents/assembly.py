"""The way of one file to its artifact: its children side by side, what they leave tried again, its parts merged.

Owns the retries of one file and every path beside its artifact; none of them outlives ``run`` but the previews that
were given away. Parts are written by children that read foreign bytes, so that a contained child merges them. Knows no
zygote, no store and no row.
"""

from __future__ import annotations

import asyncio
import math
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Protocol

import structlog
from msgspec import Struct

from longscroll.documents.children import Children
from longscroll.documents.messages import (
    ChildEnded,
    MergeTask,
    ParseDone,
    ParseOpened,
    ParsePart,
    ParseProgress,
    ParseRange,
    ParserReply,
    ParseTask,
    PartPlace,
)
from longscroll.documents.parts import Beginning, Parts
from longscroll.documents.previews import Previews
from longscroll.documents.zygote import NoZygote, ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.types import Readable

log = structlog.get_logger()


class ParserOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one file may cost."""

    stall_s: float = 15.0  # without progress of a page
    max_pages: int = 15_000
    part_pages: int = 400  # a document with more is parsed in ranges of pages, side by side
    memory_bytes: int = 352 << 20  # private memory of a child, beyond what it begins with
    max_artifact_bytes: int = 2 << 30
    cpu_s: int = 60
    cpu_s_per_mb: float = 1.0
    max_tries: int = 2  # of what a child had in hand when it was killed by a signal that was not ours
    max_zygotes: int = 3  # that one file may see die


class ParseListener(Protocol):
    """Who is told how a parse goes on."""

    def progressed(self, progress: ParseProgress) -> None:
        """So much of the whole file is done."""

    async def readable(self, preview: Path, readable: Readable) -> None:
        """The beginning is a whole artifact at ``preview``, a path that is the listener's from now on."""


class Job(Struct, frozen=True, kw_only=True):
    """What is to be done: the file's bytes, the artifact to write, who is told."""

    file: Path
    artifact: Path
    filename: str
    size_bytes: int
    listener: ParseListener


class Assembly:
    """One file's parse; ``run`` it once.

    Args:
        children: where children come from.
        options: what the file may cost.
        job: the file.
        spare: a turn for each child beside the first, over all files.
    """

    def __init__(self, children: Children, options: ParserOptions, job: Job, *, spare: asyncio.Semaphore) -> None:
        self._children = children
        self._options = options
        self._job = job
        self._spare = spare
        self._cpu_s = options.cpu_s + int(options.cpu_s_per_mb * job.size_bytes / 1e6)
        self._task = ParseTask(
            filename=job.filename,
            max_pages=options.max_pages,
            part_pages=options.part_pages,
            memory_bytes=options.memory_bytes,
            artifact_bytes=options.max_artifact_bytes,
            cpu_s=self._cpu_s,
        )
        self._parts = Parts()
        self._n_tries: Counter[object] = Counter()  # by stretch
        self._done: ParseDone | None = None  # where one part was enough
        self._beside: set[Path] = set()
        self._numbers = count(1)
        self._add_workers: Callable[[], object] = list
        self._previews = Previews(self._merge_once, self._give, self._fresh_path)

    async def run(self, *, n_children: int) -> ParseDone:
        """Parse the file with so many children at once; see ``Parsers.parse``."""
        try:
            await self._parse(n_children)
            await self._previews.stop()
            self._previews.check()
            return self._done or await self._merge_all()
        finally:
            await self._previews.stop()
            await asyncio.to_thread(_remove, self._beside)

    async def _parse(self, n_children: int) -> None:
        try:
            async with asyncio.TaskGroup() as workers:
                self._add_workers = lambda: [workers.create_task(self._work_beside()) for _ in range(n_children - 1)]
                workers.create_task(self._work())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _work_beside(self) -> None:
        async with self._spare:
            await self._work()

    async def _work(self) -> None:
        """Have stretches parsed, by one child after another, until none is left."""
        n_lost = 0
        while (stretch := self._parts.take()) is not None:
            try:
                await self._run_child(stretch)
            except NoZygote:
                raise
            except ZygoteLost:
                n_lost += 1
                log.warning("parsers.zygote_lost", n_lost=n_lost)
                if n_lost >= self._options.max_zygotes:
                    raise

    async def _run_child(self, stretch: int) -> None:
        """Let a child parse a stretch, and then others as long as there are some and no other file waits."""
        in_hand: int | None = stretch
        path = self._fresh_path() if self._parts.is_split else self._job.artifact
        try:
            async with self._children.running(self._task, reads=[self._job.file], writes=path) as child:
                while in_hand is not None:
                    event = await self._children.reply(child)
                    if isinstance(event, ChildEnded):
                        return self._blame(in_hand, event)
                    if isinstance(event, ParseOpened):
                        self._open(event)
                        child.send(self._range(in_hand))
                    elif self._hear(in_hand, path, event):
                        in_hand = None if self._children.are_wanted else self._parts.take()
                        if in_hand is not None:
                            child.send(self._range(in_hand))
        finally:
            if in_hand is not None:
                self._parts.give_back(in_hand)

    def _open(self, opened: ParseOpened) -> None:
        """Split a document that turns out to be long; every child of it says the same."""
        if not self._parts.is_split and opened.n_pages <= self._options.max_pages:
            self._parts.split(opened.n_pages, part_pages=self._options.part_pages)
            self._add_workers()
            self._report(0, ParseProgress(task=opened.task, n_done=1, n_total=opened.n_pages, unit="pages"))
        if opened.n_pages != self._parts.n_pages:
            raise _made_to_fail()

    def _range(self, stretch: int) -> ParseRange:
        """Return the order to parse a stretch: in its share of the time, and that of a page that hardly goes on."""
        pages = self._parts.pages(stretch)
        share = len(pages) / self._parts.n_pages
        cpu_s = math.ceil(self._options.stall_s + self._cpu_s * share)
        return ParseRange(start=pages.start, stop=pages.stop, cpu_s=cpu_s)

    def _hear(self, stretch: int, path: Path, event: ParserReply) -> bool:
        """Take what a child says; returns whether the stretch is done."""
        if isinstance(event, ParseProgress):
            self._report(stretch, event)
            return False
        if isinstance(event, ParsePart):
            self._parts.add(stretch, path, event)
            if self._parts.n_bytes > self._options.max_artifact_bytes:
                raise DocumentError(DocumentErrorKind.TOO_LARGE, "The text of the file is larger than can be stored.")
            if not self._parts.are_done:
                self._previews.consider(self._parts.beginning())
            return event.is_last
        if self._parts.is_split or not isinstance(event, ParseDone):
            raise _made_to_fail()
        self._done = event
        return True

    def _report(self, stretch: int, progress: ParseProgress) -> None:
        self._job.listener.progressed(self._parts.progress(stretch, progress))

    def _blame(self, work: object, ended: ChildEnded) -> None:
        """Count a child that left without a word against what it had in hand.

        Raises:
            DocumentError: it took all its time, or is the last that was to be tried.
        """
        if ended.signal == signal.SIGXCPU:
            raise DocumentError(DocumentErrorKind.TIMEOUT, "The file takes more time to be read than a file may take.")
        log.warning("parsers.child_killed", signal=signal.Signals(ended.signal).name if ended.signal else "no signal")
        self._n_tries[work] += 1
        if self._n_tries[work] >= self._options.max_tries:
            raise _made_to_fail()

    async def _merge_all(self) -> ParseDone:
        path = self._fresh_path()
        n_lost = 0
        while True:
            try:
                ended = await self._merge(self._parts.beginning(), path)
            except NoZygote:
                raise
            except ZygoteLost:
                n_lost += 1
                if n_lost >= self._options.max_zygotes:
                    raise
                continue
            if isinstance(ended, ParseDone):
                self._put_in_place(path)
                return ended
            self._blame("merge", ended)

    def _put_in_place(self, path: Path) -> None:
        """Rename on the event loop: it takes microseconds, and a thread could not be called back."""
        path.replace(self._job.artifact)

    async def _merge_once(self, beginning: Beginning, path: Path) -> ParseDone:
        ended = await self._merge(beginning, path)
        if isinstance(ended, ChildEnded):
            raise _made_to_fail()
        return ended

    async def _merge(self, beginning: Beginning, path: Path) -> ParseDone | ChildEnded:
        files = list(dict.fromkeys(part.path for part in beginning.parts))
        task = MergeTask(
            parts=tuple(PartPlace(files.index(part.path), part.offset, part.size) for part in beginning.parts),
            memory_bytes=self._options.memory_bytes,
            artifact_bytes=self._options.max_artifact_bytes,
            cpu_s=self._cpu_s,
        )
        async with self._children.running(task, reads=files, writes=path) as child:
            while True:
                event = await self._children.reply(child)
                if isinstance(event, ParseDone | ChildEnded):
                    return event

    async def _give(self, path: Path, readable: Readable) -> None:
        self._beside.discard(path)
        await self._job.listener.readable(path, readable)

    def _fresh_path(self) -> Path:
        path = self._job.artifact.with_name(f"{self._job.artifact.name}.{next(self._numbers)}")
        self._beside.add(path)
        return path


def _remove(paths: set[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _made_to_fail() -> DocumentError:
    return DocumentError(DocumentErrorKind.CORRUPT, "The file made its parser fail; it is damaged or built to do harm.")
