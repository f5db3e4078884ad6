"""How long rows of usage are kept. Owns when the old ones go: at the start and then daily, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from longscroll.errors import Overloaded, StorageFull
from longscroll.storage.base import UsageStore

DAY_S = 86_400.0
RETRY_S = 60.0
BATCH = 200
"""Rows removed by one write: about twenty milliseconds, which the row of a request may have to wait."""

_log = structlog.get_logger(__name__)


class UsageOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[usage]`` section."""

    keep_days: int = 0  # 0: for ever

    def __post_init__(self) -> None:
        if not 0 <= self.keep_days <= 36_500:
            raise ValueError(f"keep_days must be from 0 to 36500, got {self.keep_days}; 0 keeps usage for ever")


@asynccontextmanager
async def kept_for(
    options: UsageOptions,
    store: UsageStore,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> AsyncIterator[None]:
    """Remove the rows of requests that are too old, now and every day, while the context lasts."""
    if not options.keep_days:
        yield
        return
    age = timedelta(days=options.keep_days)
    sweeping = asyncio.create_task(_sweep_daily(store, lambda: clock() - age, sleep))
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.wait([sweeping])


async def sweep(store: UsageStore, before: datetime) -> int:
    """Remove the rows of requests that ended before a moment; returns how many there were."""
    n_removed = 0
    while n := await store.forget(before, limit=BATCH):
        n_removed += n
    return n_removed


async def _sweep_daily(
    store: UsageStore, oldest: Callable[[], datetime], sleep: Callable[[float], Awaitable[object]]
) -> None:
    while True:
        try:
            n_removed = await sweep(store, oldest())
        except (Overloaded, StorageFull) as error:
            _log.warning("old usage was not removed", reason=str(error))
            await sleep(RETRY_S)
        else:
            _log.info("old usage removed", n_rows=n_removed)
            await sleep(DAY_S)
