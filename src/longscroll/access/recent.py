"""What was looked up a moment ago: a bounded memory of digests, so that a request does not wait for the database.

Knows no key and no header. Runs on the event loop.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from longscroll.access.base import Principal


class Entry(Struct, frozen=True):
    """The caller that a digest stands for, or None where it stands for nobody, until a moment."""

    principal: Principal | None
    known_at: datetime
    until: datetime


class RecentKeys:
    """Digests and who they stand for. Known and unknown ones have bounds apart: a flood of guesses evicts no key."""

    def __init__(self, *, max_entries: int, ttl: timedelta, unknown_ttl: timedelta) -> None:
        self._max_entries = max_entries
        self._ttl = ttl
        self._unknown_ttl = unknown_ttl
        self._known: dict[bytes, Entry] = {}
        self._unknown: dict[bytes, Entry] = {}

    def find(self, digest: bytes, *, now: datetime) -> Entry | None:
        """Return a fresh entry. A clock that was set back makes every entry stale."""
        entry = self._known.get(digest) or self._unknown.get(digest)
        return entry if entry is not None and entry.known_at <= now < entry.until else None

    def remember(self, digest: bytes, principal: Principal | None, *, now: datetime, until: datetime | None) -> None:
        """Keep an entry for as long as it may be believed, at most ``until``; the oldest makes room."""
        self.forget(digest)
        entries, ttl = (self._unknown, self._unknown_ttl) if principal is None else (self._known, self._ttl)
        if len(entries) >= self._max_entries:
            del entries[next(iter(entries))]
        entries[digest] = Entry(principal, now, now + ttl if until is None else min(now + ttl, until))

    def forget(self, digest: bytes) -> None:
        """Drop what is known of a digest."""
        self._known.pop(digest, None)
        self._unknown.pop(digest, None)

    def forget_key(self, key_id: str) -> None:
        """Drop every entry of a key."""
        gone = [digest for digest, entry in self._known.items() if entry.principal and entry.principal.key_id == key_id]
        for digest in gone:
            del self._known[digest]
