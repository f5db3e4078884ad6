"""The files of a batch: its replies, in the order of its lines, and its errors.

Every line of the input stands in one of the two, once; a file without lines is not made. A file has an id that follows
from the batch's and its claim's: what a process that died has made is found and removed by the next, and one that comes
too late, when its claim is lost, touches nobody's but its own. Knows no wire format.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from longscroll.errors import FileNotFound, RequestError
from longscroll.services.batches.base import Rooms, SkipReason
from longscroll.services.batches.input import opened, unanswered
from longscroll.storage.base import BYTES, blob_prefix
from longscroll.storage.batches import Batch, BatchClaim
from longscroll.types import BATCH_OUTPUT

RECORDS_AT_ONCE = 32
DROPPED_AT_ONCE = 500

Kind = Literal["output", "error"]
KINDS: tuple[Kind, ...] = ("output", "error")


class OutputFiles(Struct, frozen=True, kw_only=True):
    """The ids of what a batch came to."""

    output_file_id: str | None
    error_file_id: str | None
    n_skipped: int  # lines that were never asked; they stand in the error file


def derived_id(batch: Batch, name: str) -> str:
    """Return the UUID that something of a batch has, whichever process makes it."""
    return str(uuid.uuid5(uuid.UUID(batch.id.removeprefix("batch_")), name))


def record_id(batch: Batch, number: int) -> str:
    """Return the id of a line's request: the same however often the line is asked, so that it is metered once."""
    return derived_id(batch, f"line {number}")


class OutputWriter:
    """Writes the files of one claimed batch."""

    def __init__(self, rooms: Rooms, claim: BatchClaim, *, max_line_bytes: int) -> None:
        self._rooms = rooms
        self._claim = claim
        self._max_line_bytes = max_line_bytes

    async def write(self, batch: Batch) -> OutputFiles:
        """Write both files, and remove those of claims before; ``batch`` as it is when no line is asked any more.

        Raises:
            StorageFull: no space is left; what is written is removed when this is tried again.
        """
        await self._remove([self._file_id(kind, fence) for kind in KINDS for fence in range(1, self._claim.fence)])
        path = await self._rooms.blobs.local_path(blob_prefix(batch.workspace, batch.input_file_id) + BYTES)
        n_skipped = batch.n_total - batch.n_completed - batch.n_failed
        return OutputFiles(
            output_file_id=await self._write(batch, "output", self._records(is_failed=False)),
            error_file_id=await self._write(batch, "error", self._errors(batch, path)),
            n_skipped=0 if path is None else n_skipped,
        )

    async def drop_results(self) -> None:
        """Forget the replies that are in the files."""
        while await self._rooms.batches.drop_results(self._claim, limit=DROPPED_AT_ONCE):
            pass

    async def withdraw(self) -> None:
        """Remove what was written when the claim turns out to be lost: who has it now writes files of their own."""
        await self._remove([self._file_id(kind, self._claim.fence) for kind in KINDS])

    async def _remove(self, file_ids: Sequence[str]) -> None:
        workspace = self._claim.batch.workspace
        for file_id in await self._rooms.files.files.get_many(workspace, file_ids) if file_ids else ():
            with suppress(FileNotFound):  # its owner, or a client, was quicker
                await self._rooms.files.delete(workspace, file_id)

    def _file_id(self, kind: Kind, fence: int) -> str:
        return f"file-batch_output-{derived_id(self._claim.batch, f'{kind} {fence}').replace('-', '')[:24]}"

    async def _write(self, batch: Batch, kind: Kind, records: AsyncIterator[bytes]) -> str | None:
        file_id = self._file_id(kind, self._claim.fence)
        upload = await self._rooms.files.begin(batch.workspace, purpose=BATCH_OUTPUT)
        try:
            async for record in records:
                await upload.write(record + b"\n")
            if not upload.size_bytes:
                return None
            await upload.commit(filename=f"{batch.id}_{kind}.jsonl", purpose=BATCH_OUTPUT, file_id=file_id)
        finally:
            await upload.discard()
        return file_id

    async def _records(self, *, is_failed: bool) -> AsyncIterator[bytes]:
        after = 0
        while results := await self._rooms.batches.results(
            self._claim, is_failed=is_failed, after=after, limit=RECORDS_AT_ONCE
        ):
            for result in results:
                yield result.record
            after = results[-1].line

    async def _errors(self, batch: Batch, path: Path | None) -> AsyncIterator[bytes]:
        async for record in self._records(is_failed=True):
            yield record
        if path is not None and batch.n_completed + batch.n_failed < batch.n_total:
            async with aclosing(self._skipped(batch, path)) as records:
                async for record in records:
                    yield record

    async def _skipped(self, batch: Batch, path: Path) -> AsyncGenerator[bytes, None]:
        """Yield a record for each line that was never asked; without the input nobody knows which they are."""
        lines = self._rooms.lines
        reason = _reason(batch)
        answered = await self._rooms.batches.answered(self._claim)
        with suppress(FileNotFoundError):  # deleted in this moment
            async with opened(path, max_line_bytes=self._max_line_bytes) as reader:
                async for number, text in unanswered(reader, answered):
                    with suppress(RequestError):  # the service was changed since the input was checked
                        yield lines.skip(lines.read(text), record_id(batch, number), reason)


def _reason(batch: Batch) -> SkipReason:
    if batch.cancelling_at is not None:
        return "batch_cancelled"
    return "batch_failed" if batch.failed_at is not None else "batch_expired"
