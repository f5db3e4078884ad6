"""When old rows of usage go."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from factories.storage import NOON, make_usage
from longscroll.access.retention import BATCH, DAY_S, UsageOptions, kept_for, sweep
from longscroll.errors import Overloaded
from longscroll.storage.base import UsageRecord
from longscroll.storage.memory import MemoryUsage

DAY = timedelta(days=1)


async def filled(*rows: UsageRecord) -> MemoryUsage:
    store = MemoryUsage()
    for row in rows:
        await store.add(row)
    return store


class Nights:
    """Passes the time between two sweeps when a test says so; keeps how long each was to be."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []
        self.dawn = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.lengths_s.append(seconds)
        await self.dawn.wait()
        self.dawn.clear()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_rows_that_are_too_old_go_at_the_start_and_every_day() -> None:
    nights, now = Nights(), [NOON]
    old, fresh = make_usage(at=NOON - 8 * DAY), make_usage(at=NOON - 6 * DAY)
    store = await filled(old, fresh)
    async with kept_for(UsageOptions(keep_days=7), store, clock=lambda: now[0], sleep=nights.sleep):
        await settle()
        assert list(store.rows.values()) == [fresh]
        now[0] += 2 * DAY
        nights.dawn.set()
        await settle()
    assert (store.rows, nights.lengths_s) == ({}, [DAY_S, DAY_S])


async def test_a_store_that_is_busy_is_tried_again_before_the_day_is_over() -> None:
    class Busy(MemoryUsage):
        async def forget(self, before: object, *, limit: int) -> int:
            raise Overloaded("Too many writes wait for the database; ask again later.")

    nights = Nights()
    async with kept_for(UsageOptions(keep_days=7), Busy(), clock=lambda: NOON, sleep=nights.sleep):
        await settle()
    assert 0 < nights.lengths_s[0] < DAY_S


async def test_by_default_rows_are_kept_for_ever() -> None:
    store = await filled(make_usage(at=NOON - 10_000 * DAY))
    async with kept_for(UsageOptions(), store, clock=lambda: NOON):
        await settle()
    assert len(store.rows) == 1


async def test_more_old_rows_than_one_write_removes_go_too() -> None:
    store = await filled(*(make_usage(at=NOON - DAY) for _ in range(2 * BATCH + 1)))
    assert (await sweep(store, NOON), store.rows) == (2 * BATCH + 1, {})


def test_days_below_zero_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="keep_days must be from 0 to 36500, got -1"):
        msgspec.convert({"keep_days": -1}, UsageOptions)
