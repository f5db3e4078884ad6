"""Who waits for a reader, and who is next: questions that somebody waits for, then those that can wait.

A question needs a reader more than once, so who goes first is waited for a moment after it had one. Knows no reader and
no task. What runs ``in_background`` is told by its context, which its tasks inherit: handing it
down would put it into every message between a surface and a reader.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")

COURTESY_S = 0.01
"""How long a thing stays free, for who had it and goes first, before it is given to those that can wait."""

_can_wait: ContextVar[bool] = ContextVar("_can_wait", default=False)


@contextmanager
def in_background() -> Iterator[None]:
    """Let everybody else go first, in this task and in those that it begins."""
    token = _can_wait.set(True)
    try:
        yield
    finally:
        _can_wait.reset(token)


class WaitingLine(Generic[T]):
    """Those who wait for a thing of which there are a few. Belongs to one event loop."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._first: deque[asyncio.Future[T]] = deque()
        self._then: deque[asyncio.Future[T]] = deque()
        self._clock = clock
        self._courtesy_until = 0.0

    def __len__(self) -> int:
        return len(self._first) + len(self._then)

    @property
    def courtesy_s(self) -> float:
        """How long those that can wait are still passed over."""
        return max(0.0, self._courtesy_until - self._clock())

    @property
    def is_open(self) -> bool:
        """Whether who asks now may have what is free without waiting."""
        return not (_can_wait.get() and (self.courtesy_s or self._then))

    def used(self) -> None:
        """Say that one who goes first has just had a thing; harmless of those that can wait."""
        if not _can_wait.get():
            self._courtesy_until = self._clock() + COURTESY_S

    def join(self) -> asyncio.Future[T]:
        """Begin to wait; the future is done when it is one's turn."""
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        (self._then if _can_wait.get() else self._first).append(turn)
        return turn

    def leave(self, turn: asyncio.Future[T]) -> None:
        """Wait no longer; nothing happens when it was one's turn."""
        for line in (self._first, self._then):
            with suppress(ValueError):
                line.remove(turn)

    def everybody(self) -> Iterator[asyncio.Future[T]]:
        """Take all who wait out of the line."""
        for line in (self._first, self._then):
            while line:
                turn = line.popleft()
                if not turn.done():
                    yield turn

    def next(self) -> asyncio.Future[T] | None:
        """Return who has waited longest, of those that go first if there is one; None when nobody may have it now."""
        for line in (self._first,) if self.courtesy_s else (self._first, self._then):
            while line:
                turn = line.popleft()
                if not turn.done():
                    return turn
        return None
