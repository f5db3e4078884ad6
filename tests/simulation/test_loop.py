"""The simulated loop: virtual time, one order per seed, and processes that stop between two steps."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from simulation.loop import Deadlock, OutOfTime, SimulatedLoop


def loop_of(seed: int) -> SimulatedLoop:
    return SimulatedLoop(Random(seed), limit_s=10_000)


def test_an_hour_passes_at_once() -> None:
    loop, began = loop_of(1), time.monotonic()
    loop.run_until_complete(asyncio.sleep(3600))
    loop.end()
    assert (loop.time(), time.monotonic() - began < 1) == (3600, True)


def steps(seed: int) -> list[str]:
    """Return in which order two processes take three steps each."""
    loop, taken = loop_of(seed), []

    async def work(name: str) -> None:
        for number in range(3):
            taken.append(f"{name}{number}")
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(loop.spawn(loop.add_lane(name), work(name)) for name in "ab"))

    loop.run_until_complete(main())
    loop.end()
    return taken


def test_a_seed_decides_which_process_goes_first_and_each_keeps_its_order() -> None:
    orders = [steps(seed) for seed in range(20)]
    assert orders == [steps(seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 5
    assert all([step for step in order if step[0] == "a"] == ["a0", "a1", "a2"] for order in orders)


def test_a_stopped_process_does_nothing_until_it_goes_on_and_runs_no_cleanup() -> None:
    loop, done = loop_of(1), []
    lane = loop.add_lane("process")

    async def work() -> None:
        try:
            await asyncio.sleep(1)
            done.append("worked")
        finally:
            done.append("cleaned up")

    async def main() -> None:
        loop.spawn(lane, work())
        await asyncio.sleep(0.5)
        lane.is_stopped = True
        await asyncio.sleep(5)
        assert done == []
        lane.is_stopped = False
        await asyncio.sleep(0.1)

    loop.run_until_complete(main())
    loop.end()
    assert done == ["worked", "cleaned up"]


def test_what_is_done_in_a_thread_is_done_at_once() -> None:
    loop = loop_of(1)
    assert loop.run_until_complete(asyncio.to_thread(lambda: 7)) == 7
    loop.end()


@pytest.mark.parametrize(
    ("work", "error"), [(asyncio.Event().wait, Deadlock), (lambda: asyncio.sleep(20_000), OutOfTime)]
)
def test_a_history_that_does_not_end_fails(work: object, error: type[AssertionError]) -> None:
    loop = loop_of(1)
    with pytest.raises(error):
        loop.run_until_complete(work())  # type: ignore[operator]
    loop.end()
