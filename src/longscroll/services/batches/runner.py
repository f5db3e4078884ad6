"""The runner of batches: every batch is carried out to its end, whatever dies meanwhile.

Owns which batches this process takes up and when. The row is the queue, as it is for files: a batch is claimed, held by
a lease and written under the claim's fence; what a dead process held is taken up at once where its death is known. What
is not the batch's fault (no space, a store that fails, the end of this process) never ends one. Knows no wire format.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from longscroll.errors import Overloaded, StorageFull
from longscroll.services.batches.base import BatchOptions, Rooms, RunOptions
from longscroll.services.batches.run import BatchRun, Turns
from longscroll.storage.base import Presence
from longscroll.storage.batches import BatchClaim
from longscroll.tasks import without_end

log = structlog.get_logger()


class BatchRunner:
    """The batches of one process; an async context manager, or ``start`` and ``stop``."""

    def __init__(
        self,
        rooms: Rooms,
        presence: Presence,
        *,
        limits: BatchOptions,
        options: RunOptions | None = None,
        wake: asyncio.Event | None = None,
    ) -> None:
        """Run nothing before ``start``; who sets ``wake`` says that there is something to do."""
        self._rooms = rooms
        self._presence = presence
        self._limits = limits
        self._options = options or RunOptions()
        self._turns = Turns(limits.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._wake = wake or asyncio.Event()
        self._resume_at = 0.0
        self._loop_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take batches."""
        self._loop_task = asyncio.create_task(without_end(self._take, self._note_failure))

    def drain(self) -> None:
        """Take no more batches and begin no more lines; those under way go on."""
        self._turns.is_draining = True

    async def stop(self) -> None:
        """End what runs and let go of it; a line that is cut off is asked again by whoever goes on."""
        self.drain()
        tasks = [*self._running, *([self._loop_task] if self._loop_task is not None else [])]
        self._loop_task = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            await asyncio.sleep(max(0.0, self._resume_at - loop.time()))
            await self._forfeit_the_dead()
            await self._claim_batches()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.poll_s):
                    await self._wake.wait()

    async def _forfeit_the_dead(self) -> None:
        others = await self._rooms.batches.owners() - {self._presence.owner}
        dead = await self._presence.dead(others) if others else set()
        if dead:
            n_batches = await self._rooms.batches.forfeit(dead)
            log.warning("batches.taken_over", n_processes=len(dead), n_batches=n_batches)

    async def _claim_batches(self) -> None:
        while len(self._running) < self._options.max_batches and not self._turns.is_draining:
            claim = await self._rooms.batches.claim(
                self._presence.owner, now=self._rooms.clock(), lease_s=self._options.lease_s
            )
            if claim is None:
                return
            task = asyncio.create_task(self._carry_out(claim))
            self._running.add(task)
            task.add_done_callback(self._end)

    async def _carry_out(self, claim: BatchClaim) -> None:
        run = BatchRun(claim, self._rooms, self._turns, limits=self._limits, options=self._options)
        try:
            await run.run()
        finally:
            with suppress(StorageFull, Overloaded):  # then the lease ends by itself
                await self._rooms.batches.release(claim)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._note_failure(task)
        self._wake.set()

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        """Take no batch for a while after what no batch is to blame for."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._resume_at = asyncio.get_running_loop().time() + self._options.backoff_s
        is_foreseen = isinstance(error, StorageFull | Overloaded)
        log.error("batches.pause", error=type(error).__name__, exc_info=None if is_foreseen else error)
