"""Which files chats of this process are about to read, so that a deletion can let them go first.

A chat that has found a file and waits for a reader would miss its blobs; one that has its evidence needs them no more.
Knows no chat and no file but by its key.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

Key = tuple[str, str]  # workspace, file id


class FilesInUse:
    """Counts by file who is about to read it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._n_uses: Counter[Key] = Counter()
        self._freed: dict[Key, asyncio.Event] = {}  # somebody waits for it

    def use(self, workspace: str, file_ids: Iterable[str]) -> Use:
        """Return a context that uses the files; enter it before their rows are looked up."""
        return Use(self, {(workspace, file_id) for file_id in file_ids})

    async def wait_until_free(self, workspace: str, file_id: str, *, timeout_s: float) -> None:
        """Return when nobody uses a file that nobody can find any more, or when the time is up."""
        key = workspace, file_id
        if not self._n_uses[key]:
            return
        freed = self._freed.setdefault(key, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await freed.wait()

    def acquire(self, keys: Iterable[Key]) -> None:
        """Count a use of each file; ``Use`` calls this."""
        self._n_uses.update(keys)

    def release(self, keys: Iterable[Key]) -> None:
        """Count a use of each file less."""
        for key in keys:
            self._n_uses[key] -= 1
            if not self._n_uses[key]:
                del self._n_uses[key]
                if key in self._freed:
                    self._freed.pop(key).set()


class Use:
    """The use of some files by one chat, from entering until ``end`` or leaving."""

    def __init__(self, files: FilesInUse, keys: Iterable[Key]) -> None:
        self._files = files
        self._keys = keys
        self.is_over = True

    def __enter__(self) -> Self:
        self._files.acquire(self._keys)
        self.is_over = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Need the files no more; harmless when said again."""
        if not self.is_over:
            self.is_over = True
            self._files.release(self._keys)
