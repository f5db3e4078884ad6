"""Who of the processes on a data folder is alive.

Owns one small file per living process, held by a lock that the kernel drops when the process ends, however it ends.
Knows no lease and no row. The memory twin is ``memory.MemoryPresence``.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from longscroll.storage.lock import is_held
from longscroll.storage.space import needing_space


class LocalPresence:
    """``Presence`` for the processes of one host; an async context manager, or ``start`` and ``stop``, once.

    A name that the folder does not hold is dead: nobody stands in rows before ``start`` has returned. A file gets the
    name of its owner only when it is locked, so whoever finds one without a lock has found a dead one's and removes it.
    All of it runs on the event loop, in some ten microseconds for each owner.
    """

    def __init__(self, folder: Path) -> None:
        self.owner = token_hex(8)
        self._folder = folder
        self._descriptor: int | None = None

    async def start(self) -> None:
        """Be present, and remove what the dead left.

        Raises:
            StorageFull: no space is left for an empty file.
        """
        with needing_space("start"):
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._descriptor is None:
                self._descriptor = self._appear()
        self._sweep({path.name for path in self._folder.iterdir()})

    async def stop(self) -> None:
        """Be present no more; nothing happens when it is not."""
        if self._descriptor is not None:
            (self._folder / self.owner).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def dead(self, owners: Collection[str]) -> set[str]:
        """Return those whose file is missing or not locked; see ``Presence.dead``. Who asks is alive."""
        return self._sweep(set(owners) - {self.owner})

    def _sweep(self, names: set[str]) -> set[str]:
        unheld = {name for name in names if not is_held(self._folder / name)}
        for name in unheld:
            (self._folder / name).unlink(missing_ok=True)
        return unheld

    def _appear(self) -> int | None:
        """Lock a file under a passing name, then give it its own; None when a neighbor swept it in between."""
        passing = self._folder / token_hex(16)
        descriptor = os.open(passing, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            passing.rename(self._folder / self.owner)
            return descriptor
        os.close(descriptor)
        return None
