"""One claimed file on its way to its end: parsed, its lease renewed meanwhile, published under the claim's fence.

Owns the order of these and what is said of their progress. What is written is written to the end or not at all, and
all of it before the claim is let go: so who deletes the file knows by its row when nothing comes after. Knows no queue,
no other file and no watcher.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from longscroll.documents.messages import ParseDone, ParseProgress
from longscroll.documents.parsers import ParseListener
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.storage.base import (
    ARTIFACT,
    BYTES,
    PREVIEW_FOLDER,
    BlobStore,
    Claim,
    FileStore,
    Outcome,
    blob_prefix,
    preview_name,
)
from longscroll.tasks import to_the_end
from longscroll.telemetry import Moment, reached
from longscroll.types import FileStatus, Progress, Readable

MISSING = "The stored bytes of the file are missing; upload it again."
RATE_WINDOW_S = 10.0
"""Of the progress that the rate is told from."""


class IngestOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How claims are held and how often the rows are looked at when nothing is said."""

    lease_s: float = 5.0  # after this the files of a process that fell silent are taken up again
    renew_s: float = 0.5  # how soon others see progress, and a deletion is noticed
    poll_s: float = 0.5  # for what other processes do
    young_s: float = 0.3  # a file under way for longer makes room for another, until there are too many
    backoff_s: float = 5.0  # after a failure that is not the file's; doubles while nothing gets done
    max_backoff_s: float = 60.0
    max_attempts: int = 100  # claims that came to no end: a file that takes its machine down is not read for ever


class ParserPool(Protocol):
    """What ingestion needs of ``Parsers``."""

    n_children: int

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Parse a file and write its artifact; see ``Parsers.parse``."""


class Rooms(Struct, frozen=True):
    """What ingestion works with."""

    files: FileStore
    blobs: BlobStore
    parsers: ParserPool
    clock: Callable[[], datetime]


class ClaimedFile:
    """A file that this process has claimed; it listens to its own parse. ``on_change`` is called when progress is."""

    def __init__(self, claim: Claim, rooms: Rooms, options: IngestOptions, *, on_change: Callable[[], None]) -> None:
        self.claim = claim
        self.progress = Progress(stage="parsing", file_id=claim.file.id)
        self._rooms = rooms
        self._options = options
        self._on_change = on_change
        self._prefix = blob_prefix(claim.file.workspace, claim.file.id)
        self._rate = _Rate()
        self._has_preview = claim.fence > 1  # a claim before this one may have left it

    async def ingest(self) -> bool:
        """Bring the file to its end; False when the claim was lost before, and is still to be let go.

        Raises:
            StorageFull, NoZygote, ZygoteLost: it was not the file's fault, and may be tried again.
        """
        staged = self._rooms.blobs.staging_path()
        parsing = asyncio.create_task(self._parse(staged))
        try:
            return await self._hold(parsing) and await to_the_end(self._publish(parsing.result(), staged))
        finally:
            parsing.cancel()
            await to_the_end(self._clean_up(parsing, staged))

    def progressed(self, progress: ParseProgress) -> None:
        """Take a report of the parse; see ``ParseListener``."""
        per_s = self._rate.note(asyncio.get_running_loop().time(), progress.n_done)
        self.progress = replace(
            self.progress,
            n_done=progress.n_done,
            n_total=progress.n_total,
            unit=progress.unit,
            per_s=per_s,
            left_s=(progress.n_total - progress.n_done) / per_s if per_s else None,
        )
        self._on_change()

    async def readable(self, preview: Path, readable: Readable) -> None:
        """Keep the beginning of the document where chats find it; see ``ParseListener``."""
        await to_the_end(self._keep(preview, readable))

    async def _hold(self, parsing: asyncio.Task[Outcome]) -> bool:
        """Renew the lease until the parse ends; False when the lease is lost first."""
        while True:
            done, _ = await asyncio.wait([parsing], timeout=self._options.renew_s)
            if done:
                return True
            if not await self._renew():
                return False

    async def _renew(self) -> bool:
        rooms = self._rooms
        return await rooms.files.renew(
            self.claim, now=rooms.clock(), lease_s=self._options.lease_s, progress=self.progress
        )

    async def _parse(self, staged: Path) -> Outcome:
        """Return the end that the file has come to, its artifact staged where there is one."""
        file = self.claim.file
        path = await self._rooms.blobs.local_path(self._prefix + BYTES)
        if path is None:
            return _error(DocumentErrorKind.CORRUPT, MISSING)
        if file.attempt > self._options.max_attempts:
            return _error(DocumentErrorKind.CORRUPT, f"Reading the file was broken off {file.attempt - 1} times.")
        try:
            done = await self._rooms.parsers.parse(path, staged, filename=file.filename, listener=self)
        except DocumentError as error:
            return _error(error.kind, str(error))
        except FileNotFoundError:  # deleted while it waited for a parser, by one that had lost the claim
            return _error(DocumentErrorKind.CORRUPT, MISSING)
        reached(Moment.PARSED)
        return Outcome(
            status=FileStatus.PROCESSED,
            status_details=done.details,
            n_pages=done.n_pages,
            n_chars=done.n_chars,
            n_tokens=done.n_tokens,
        )

    async def _keep(self, preview: Path, readable: Readable) -> None:
        self._has_preview = True
        try:
            await self._rooms.blobs.adopt(preview, self._prefix + preview_name(readable))
            reached(Moment.PREVIEW_ADOPTED)
            self.progress = replace(self.progress, readable=readable)
            if not await self._renew():
                await self._withdraw()
        except StorageFull:  # the rest will find out whether there is space again
            await asyncio.to_thread(preview.unlink, missing_ok=True)
        self._on_change()

    async def _publish(self, outcome: Outcome, staged: Path) -> bool:
        """Put the artifact in place, then say so in the row; a file that was deleted meanwhile leaves nothing."""
        if outcome.status == FileStatus.PROCESSED:
            await self._rooms.blobs.adopt(staged, self._prefix + ARTIFACT)
            reached(Moment.ARTIFACT_ADOPTED)
        if not (await self._end_preview() and await self._rooms.files.publish(self.claim, outcome)):
            await self._withdraw()
            return False
        reached(Moment.PUBLISHED)
        return True

    async def _end_preview(self) -> bool:
        """Take back the beginning, which the whole replaces; False when the claim was lost."""
        if not self._has_preview:
            return True
        self.progress = replace(self.progress, readable=None)
        if not await self._renew():
            return False
        await self._rooms.blobs.delete_prefix(self._prefix + PREVIEW_FOLDER)
        return True

    async def _withdraw(self) -> None:
        """Remove what was put in place after the claim was lost, unless it is somebody else's by now."""
        file = await self._rooms.files.get(self.claim.file.workspace, self.claim.file.id)
        if file is None:
            await self._rooms.blobs.delete_prefix(self._prefix)
        elif file.status != FileStatus.UPLOADED:
            await self._rooms.blobs.delete_prefix(self._prefix + PREVIEW_FOLDER)

    async def _clean_up(self, parsing: asyncio.Task[Outcome], staged: Path) -> None:
        await asyncio.wait([parsing])
        await asyncio.to_thread(staged.unlink, missing_ok=True)


class _Rate:
    """How many units a second get done, over the last seconds."""

    def __init__(self) -> None:
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, now: float, n_done: int) -> float | None:
        """Take a count; return the rate, None while it cannot be told."""
        self._notes.append((now, n_done))
        while now - self._notes[0][0] > RATE_WINDOW_S and len(self._notes) > 2:
            self._notes.popleft()
        began, n_first = self._notes[0]
        return (n_done - n_first) / (now - began) if now > began and n_done > n_first else None


def _error(kind: DocumentErrorKind, details: str) -> Outcome:
    return Outcome(status=FileStatus.ERROR, error_kind=kind, status_details=details)
