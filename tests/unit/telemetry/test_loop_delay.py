from __future__ import annotations

import asyncio
import time

from longscroll.telemetry.loop_delay import watched_loop


async def test_a_loop_that_is_held_up_is_seen_to_be_late() -> None:
    delays: list[float] = []
    async with watched_loop(delays.append, every_s=0.01):
        await asyncio.sleep(0)
        time.sleep(0.05)
        await asyncio.sleep(0.005)
    assert max(delays) > 0.03


async def test_the_watch_ends_with_its_context() -> None:
    delays: list[float] = []
    async with watched_loop(delays.append, every_s=0.001):
        await asyncio.sleep(0.05)
    n_seen = len(delays)
    await asyncio.sleep(0.02)
    assert len(delays) == n_seen > 0
