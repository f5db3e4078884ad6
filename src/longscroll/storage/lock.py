"""A lock on a folder that ends with its process, however that ends.

Owns the lock file and the words for who holds it. Knows nothing of what else stands in the folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from longscroll.errors import StartupError

LOCK_NAME = "lock"


class FolderLock:
    """At most one holder per folder, over all processes of the host.

    The lock file stays when the lock is released: a process that waits at a removed file would hold a lock on nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            StartupError: another process holds it; the message names its process number.
        """
        if self.try_acquire():
            return
        holder = (self.folder / LOCK_NAME).read_text(encoding="ascii").strip()
        raise StartupError(
            f"{self.folder} is already in use by process {holder or '(unknown)'}; stop it or choose another --data-dir."
        )

    def try_acquire(self) -> bool:
        """Take the lock if nobody holds it, and leave the process number for who comes next."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor
        return True

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the lock and hold it for one block; blocks the thread, and needs no space on the disk."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        return os.open(self.folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
