"""Locks that end with their process, however that ends.

Owns the lock file of a folder and the words for who holds it. Knows nothing of what else stands in the folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from longscroll.errors import StartupError

LOCK_NAME = "lock"
DOOR_PAUSE_S = 0.0005


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
        if not _try_lock(descriptor):
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


class Door:
    """A file in which one process at a time may stand, to be the next at something else that is held.

    Who comes out and wants in again finds it taken by who has waited: nobody is overtaken twice by a busy neighbor.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def standing(self, *, timeout_s: float) -> Iterator[None]:
        """Stand in the door for one block; for one thread. Blocks it.

        Raises:
            TimeoutError: a neighbor stood in it for too long.
        """
        until = time.monotonic() + timeout_s
        while not _try_lock(self._descriptor):
            if time.monotonic() >= until:
                raise TimeoutError
            time.sleep(DOOR_PAUSE_S)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file, which stays."""
        os.close(self._descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock on a file; nobody holds one that is not there.

    Takes microseconds, needs no space on the disk, and neighbors may look at the same time.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
