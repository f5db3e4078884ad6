"""What one claimed file says of its progress, in virtual time."""

from __future__ import annotations

import asyncio
from random import Random

from factories.ingestion import ScriptedParsers, progressed
from factories.storage import NOON, make_file
from longscroll.documents.claimed import RATE_WINDOW_S, ClaimedFile, IngestOptions, Rooms
from longscroll.storage.base import Claim
from longscroll.storage.memory import MemoryBlobs, MemoryFiles
from longscroll.types import Progress
from simulation.loop import SimulatedLoop


async def told(*rates: int, for_s: int, n_total: int) -> Progress:
    """Return what is told of a parse that goes at these pages a second, one after the other, for some seconds each."""
    async with MemoryBlobs() as blobs:
        claim = Claim(file=make_file(), owner="parser-1", fence=1, lease_until=NOON)
        rooms = Rooms(MemoryFiles(), blobs, ScriptedParsers(), lambda: NOON)
        claimed, n_done = ClaimedFile(claim, rooms, IngestOptions(), on_change=lambda: None), 0
        for rate in rates:
            for _ in range(for_s):
                n_done += rate
                await asyncio.sleep(1)
                claimed.progressed(progressed(n_done, n_total))
    return claimed.progress


def test_rate_and_time_left_are_told_from_the_last_seconds() -> None:
    loop, for_s = SimulatedLoop(Random(1), limit_s=1000), int(RATE_WINDOW_S) + 1
    progress = loop.run_until_complete(told(1, 20, for_s=for_s, n_total=41 * for_s))
    loop.end()
    assert (progress.n_done, progress.per_s, progress.left_s) == (21 * for_s, 20, for_s)
