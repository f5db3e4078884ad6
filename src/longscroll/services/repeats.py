"""Uploads that a client names by an ``Idempotency-Key``: made once, however often they are sent.

Kept in the memory of the process, for a day: a client's own retries come within seconds. After a restart a repeated
upload makes a second file, as it does without a key. Knows no wire format.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from msgspec import Struct

KEPT_FOR = timedelta(days=1)
MAX_KEPT = 10_000
"""Names of all workspaces together; the oldest are forgotten first."""


class Named(Struct):
    """One name: who holds it now, and the file that was made under it, if there is one."""

    turn: asyncio.Lock
    since: datetime
    file_id: str | None = None


class Repeats:
    """The names of uploads by workspace. Used on the event loop."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._named: dict[tuple[str, str], Named] = {}

    @asynccontextmanager
    async def turn(self, workspace: str, name: str) -> AsyncIterator[Named]:
        """Hold a name; who sends the same upload meanwhile waits, and then finds the file that was made."""
        self._forget()
        key = workspace, name
        named = self._named.setdefault(key, Named(asyncio.Lock(), self._now()))
        async with named.turn:
            try:
                yield named
            finally:
                if named.file_id is None and self._named.get(key) is named:
                    del self._named[key]

    def _forget(self) -> None:
        """Forget what is too old, or too much; names stand in the order in which they came."""
        oldest = self._now() - KEPT_FOR
        while self._named:
            key, named = next(iter(self._named.items()))
            if named.since >= oldest and len(self._named) < MAX_KEPT:
                return
            del self._named[key]
