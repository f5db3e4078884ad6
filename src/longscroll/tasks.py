"""Work that outlives what happens to it: a cancellation, or its own failure. Knows no room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish ``work`` even when this is canceled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        task.result()  # an error of the work goes before the cancellation
        raise


async def without_end(
    work: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[asyncio.Task[None]], None]
) -> NoReturn:
    """Do ``work`` again whenever it has ended, until this is canceled; ``ended`` is shown each time how."""
    while True:
        task = asyncio.create_task(work())
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            await asyncio.wait([task])
        ended(task)
