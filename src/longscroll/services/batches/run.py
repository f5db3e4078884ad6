"""One claimed batch on its way to its end: its input checked, its lines answered, its files written.

Owns the order of these, what each status leads to, and who notices a cancellation, the end of the window, a deleted
input or a lost claim. Every step can be cut off anywhere and taken again by the next process: replies are kept one by
one under the claim's fence, and a line that has one is not asked again. Knows no queue, no other batch, no wire format.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from longscroll.errors import FileNotFound, RequestError
from longscroll.reading.turns import in_background
from longscroll.services.batches.base import BatchOptions, Line, LineReply, Rooms, RunOptions
from longscroll.services.batches.input import INPUT_DELETED, InputCheck, code_of, opened, unanswered
from longscroll.services.batches.output import OutputWriter, record_id
from longscroll.storage.base import BYTES, blob_prefix
from longscroll.storage.batches import UNFINISHED, BatchClaim, BatchFault, BatchStatus, LineResult

TRY_AGAIN = (429, 503)
"""Statuses of a line whose model sheds load or is away."""

_ON_LOOP_BYTES = 64 << 10

FIRST_PAUSE_S = 1.0  # before such a line is tried again; doubles
MAX_PAUSE_S = 15.0


class Turns:
    """The places for lines under way, which all batches of a process share; who waits longest is next."""

    def __init__(self, n_places: int) -> None:
        self.n_places = n_places
        self.is_draining = False
        self._places = asyncio.Semaphore(n_places)

    async def take(self, work: Callable[[], Awaitable[LineReply]]) -> LineReply:
        """Do some work in a place; what it reads is read when no live question waits for a reader."""
        with in_background():
            async with self._places:
                return await work()


class BatchRun:
    """A batch that this process has claimed."""

    def __init__(
        self, claim: BatchClaim, rooms: Rooms, turns: Turns, *, limits: BatchOptions, options: RunOptions
    ) -> None:
        self._claim = claim
        self._batch = claim.batch
        self._rooms = rooms
        self._turns = turns
        self._limits = limits
        self._options = options
        self._row = asyncio.Lock()  # what is read of the row is never older than what was written to it
        self._is_lost = False
        self._has_input = True

    async def run(self) -> None:
        """Bring the batch to its end, or as far as it gets before the process drains or the claim is lost.

        Raises:
            StorageFull, Overloaded: it was not the batch's fault, and may be tried again.
        """
        working = asyncio.create_task(self._work())
        try:
            while not (await asyncio.wait([working], timeout=self._options.renew_s))[0]:
                await self._renew()
                if self._is_lost:
                    return
            working.result()
        finally:
            working.cancel()
            await asyncio.wait([working])

    async def _renew(self) -> None:
        rooms = self._rooms
        async with self._row:
            batch = await rooms.batches.renew(self._claim, now=rooms.clock(), lease_s=self._options.lease_s)
            self._batch = batch or self._batch
        if batch is None:
            self._is_lost = True
            return
        try:
            await rooms.files.get(batch.workspace, batch.input_file_id)
        except FileNotFound:
            self._has_input = False

    async def _work(self) -> None:
        steps = {
            BatchStatus.VALIDATING: self._validate,
            BatchStatus.IN_PROGRESS: self._answer,
            BatchStatus.CANCELLING: self._finish,
            BatchStatus.FINALIZING: self._finish,
        }
        while self._batch.status in UNFINISHED and not (self._is_lost or self._turns.is_draining):
            await steps[self._batch.status]()

    async def _advance(self, **changes: Any) -> None:
        """Write what changes, unless the batch was canceled meanwhile: then the next step is another one."""
        async with self._row:
            batch = replace(self._batch, **changes)
            is_written = await self._rooms.batches.advance(self._claim, batch, was=self._batch.status)
            self._batch = batch if is_written else self._batch
        if not is_written:
            await self._renew()

    async def _validate(self) -> None:
        check = InputCheck(self._rooms.lines, endpoint=self._batch.endpoint, max_lines=self._limits.max_lines)
        try:
            async with opened(await self._input_path(), max_line_bytes=self._options.max_line_bytes) as reader:
                await check.run(reader)
            faults = tuple(check.faults)
        except FileNotFoundError:
            faults = (INPUT_DELETED,)
        now = self._rooms.clock()
        if faults:
            await self._advance(status=BatchStatus.FAILED, failed_at=now, errors=faults)
        else:
            await self._advance(status=BatchStatus.IN_PROGRESS, in_progress_at=now, n_total=check.n_lines)

    async def _answer(self) -> None:
        """Have every line answered that is not; then, or when no more may be, the files are written."""
        faults: tuple[BatchFault, ...] = ()
        try:
            await self._answer_lines()
        except FileNotFoundError:
            self._has_input = False
        except RequestError as error:  # the service was changed since the input was checked
            faults = (BatchFault(code=code_of(error), message=str(error)),)
        if self._turns.is_draining or self._is_lost:
            return
        await self._renew()
        batch, now = self._batch, self._rooms.clock()
        if self._is_lost or batch.status is not BatchStatus.IN_PROGRESS:
            return
        faults = faults if self._has_input else (INPUT_DELETED,)
        changes: dict[str, Any] = {"status": BatchStatus.FINALIZING, "finalizing_at": now}
        if batch.n_completed + batch.n_failed < batch.n_total:
            changes |= {"failed_at": now, "errors": faults} if faults else {"expired_at": now}
        await self._advance(**changes)

    async def _answer_lines(self) -> None:
        answered = await self._rooms.batches.answered(self._claim)
        under_way: set[asyncio.Task[None]] = set()
        path = await self._input_path()
        try:
            async with (
                opened(path, max_line_bytes=self._options.max_line_bytes) as reader,
                aclosing(unanswered(reader, answered)) as lines,
            ):
                async for number, text in lines:
                    under_way = await self._room_for_another(under_way)
                    if not self._goes_on():
                        break
                    line = await self._read(text)
                    under_way.add(asyncio.create_task(self._answer_line(number, line)))
            await self._last_words(under_way)
        finally:
            await _give_up(under_way)

    async def _read(self, text: bytes) -> Line:
        """Read a line; a long one in a thread, away from live requests."""
        if len(text) <= _ON_LOOP_BYTES:
            return self._rooms.lines.read(text)
        return await asyncio.to_thread(self._rooms.lines.read, text)

    def _goes_on(self) -> bool:
        batch = self._batch
        is_open = batch.status is BatchStatus.IN_PROGRESS and self._rooms.clock() < batch.expires_at
        return is_open and self._has_input and not (self._is_lost or self._turns.is_draining)

    async def _room_for_another(self, under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait until there is a place for one more line, or none is wanted any more."""
        while len(under_way) >= self._turns.n_places and self._goes_on():
            done, under_way = await asyncio.wait(
                under_way, timeout=self._options.renew_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        return under_way

    async def _last_words(self, under_way: set[asyncio.Task[None]]) -> None:
        """Wait for the lines under way: to their end, or for a while when no more are wanted."""
        patience_s = self._options.last_words_s
        while under_way:
            done, under_way = await asyncio.wait(
                under_way, timeout=self._options.renew_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if not self._goes_on():
                patience_s -= 0.0 if done else self._options.renew_s
                if patience_s <= 0:
                    return

    async def _answer_line(self, number: int, line: Line) -> None:
        reply = await self._ask(line, record_id(self._batch, number))
        result = LineResult(line=number, is_failed=reply.status != 200, record=reply.record)
        if not await self._rooms.batches.add_result(self._claim, result):
            self._is_lost = True

    async def _ask(self, line: Line, request_id: str) -> LineReply:
        """Ask a line, and again while its model is away; with the same request, which is metered once."""
        loop = asyncio.get_running_loop()
        until, pause_s = loop.time() + self._options.retry_s, FIRST_PAUSE_S
        while True:
            reply = await self._turns.take(lambda: self._rooms.lines.answer(self._batch, line, request_id))
            if reply.status not in TRY_AGAIN or loop.time() + pause_s > until or not self._goes_on():
                return reply
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _finish(self) -> None:
        """Write the files, forget what is in them, and say how the batch ended."""
        writer = OutputWriter(self._rooms, self._claim, max_line_bytes=self._options.max_line_bytes)
        batch = self._batch
        if batch.output_file_id is None and batch.error_file_id is None:  # else they were written and may be deleted
            files = await writer.write(batch)
            n_failed = batch.n_failed + files.n_skipped
            await self._advance(
                output_file_id=files.output_file_id, error_file_id=files.error_file_id, n_failed=n_failed
            )
        if self._is_lost:
            await writer.withdraw()
            return
        await writer.drop_results()
        await self._advance(**self._end())

    async def _input_path(self) -> Path:
        """Return where the input lies; raises FileNotFoundError when it is deleted."""
        name = blob_prefix(self._batch.workspace, self._batch.input_file_id) + BYTES
        path = await self._rooms.blobs.local_path(name)
        if path is None:
            raise FileNotFoundError(name)
        return path

    def _end(self) -> dict[str, Any]:
        batch, now = self._batch, self._rooms.clock()
        if batch.cancelling_at is not None:
            return {"status": BatchStatus.CANCELLED, "cancelled_at": now}
        if batch.failed_at is not None:
            return {"status": BatchStatus.FAILED}
        if batch.expired_at is not None:
            return {"status": BatchStatus.EXPIRED}
        return {"status": BatchStatus.COMPLETED, "completed_at": now}


async def _give_up(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
