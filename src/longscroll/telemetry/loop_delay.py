"""How late the event loop runs what is due, watched from inside it. Knows nobody who keeps it busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY_S = 0.25


@asynccontextmanager
async def watched_loop(delayed: Callable[[float], None], *, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Tell, for as long as the context lasts, by how many seconds each of its timers came late.

    A loop rounds its timers to milliseconds, so up to one of them is no delay.
    """
    watch = asyncio.create_task(_watch(delayed, every_s))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait([watch])


async def _watch(delayed: Callable[[float], None], every_s: float) -> None:
    while True:
        due = time.perf_counter() + every_s
        await asyncio.sleep(every_s)
        delayed(max(0.0, time.perf_counter() - due))
