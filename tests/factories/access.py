"""A clock that stands still, a store of keys that counts, and who administers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from factories.storage import NOON
from longscroll.access.keys import Keys
from longscroll.services.admin import KeyAdministration
from longscroll.storage.base import Key
from longscroll.storage.memory import MemoryKeys


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


async def nothing() -> None:
    """Do nothing."""


class CountingKeys(MemoryKeys):
    """The memory twin, which counts look-ups and can be told to do something in the middle of one."""

    def __init__(self) -> None:
        super().__init__()
        self.n_lookups = 0
        self.meanwhile: Callable[[], Awaitable[object]] = nothing

    async def find_key(self, digest: bytes) -> Key | None:
        self.n_lookups += 1
        found = await super().find_key(digest)
        await self.meanwhile()
        return found


def make_administration(now: datetime = NOON) -> KeyAdministration:
    """Return who administers keys, of which there are none yet."""
    return KeyAdministration(Keys(MemoryKeys(), b"p" * 32, clock=lambda: now))
