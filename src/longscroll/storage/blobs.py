"""Blobs on the local disk: renamed into place, forced to disk before they are acknowledged (obstore does not).

Owns the folder ``<root>``: blobs under their names, and under ``staging/`` one locked folder per process that writes.
Knows no row: what has a blob but no row is swept by ``services.deletion``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import obstore
from obstore.store import LocalStore

from longscroll.storage.lock import LOCK_NAME, FolderLock, is_held
from longscroll.storage.names import check_deletable, check_listable, check_name
from longscroll.storage.space import needing_space
from longscroll.telemetry import Moment, reached

T = TypeVar("T")

N_THREADS = 4
STAGING = "staging"


class LocalBlobs:
    """``BlobStore`` in a folder; an async context manager, or ``open`` and ``close``.

    Several processes may share the folder: each stages into a folder of its own, which lives as long as its lock.
    """

    def __init__(self, root: Path, *, force_to_disk: Callable[[Path], None] | None = None) -> None:
        self._root = root
        self._force_to_disk = force_to_disk or _force_to_disk
        # Whoever makes or removes folders takes a turn: none is swept or pruned between its making and its use.
        self._folders = FolderLock(root / STAGING)
        self._staging = FolderLock(root / STAGING / secrets.token_hex(8))
        self._store: LocalStore
        self._threads = ThreadPoolExecutor(N_THREADS, thread_name_prefix="blobs")

    async def open(self) -> None:
        """Make the folders and sweep what dead processes left staged.

        Raises:
            StorageFull: no space is left.
        """
        await self._in_thread(self._open)

    async def close(self) -> None:
        """Drop what is staged and stop the threads."""
        await self._in_thread(self._drop_staging)
        await asyncio.to_thread(self._threads.shutdown)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def staging_path(self) -> Path:
        """Return a fresh path beside the blobs; see ``BlobStore.staging_path``."""
        return self._staging.folder / secrets.token_hex(16)

    async def sweep_staging(self) -> None:
        """Remove the staging folders that nobody holds; see ``BlobStore.sweep_staging``."""
        await self._in_thread(self._sweep_staging)

    async def adopt(self, staged: Path, name: str) -> None:
        """Rename a staged file into place, durably; see ``BlobStore.adopt``.

        A name that is there already is replaced whole; who has the old blob open keeps it.
        """
        await self._in_thread(self._adopt, staged, check_name(name))

    async def local_path(self, name: str) -> Path | None:
        """Return the blob's own path; see ``BlobStore.local_path``."""
        return self._existing(check_name(name))

    async def local_paths(self, names: Sequence[str]) -> list[Path | None]:
        """Return the paths of several blobs; see ``BlobStore.local_paths``."""
        return await self._in_thread(lambda: [self._existing(check_name(name)) for name in names])

    async def read(self, name: str, *, block_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
        """Stream a blob; see ``BlobStore.read``. A stream that has begun ends whole, whatever is deleted meanwhile.

        Raises:
            FileNotFoundError: there is no such blob.
        """
        found = await obstore.get_async(self._store, check_name(name))
        return _blocks(found, block_bytes)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove blobs and the folders that they leave empty, durably; see ``BlobStore.delete_prefix``."""
        await self._in_thread(self._delete, check_deletable(prefix))

    async def list_names(self, prefix: str) -> Sequence[str]:
        """List names in order; see ``BlobStore.list_names``."""
        return await self._in_thread(self._names, check_listable(prefix))

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _existing(self, name: str) -> Path | None:
        # On the event loop: one look at a local inode costs microseconds, a thread costs fifty of them.
        path = f"{self._root}/{name}"
        return Path(path) if os.path.isfile(path) else None  # noqa: PTH113 - half the time, and there are hundreds

    def _open(self) -> None:
        self._sweep_staging()
        with needing_space("store the file"):
            with self._folders.turn():
                self._staging.acquire()
            self._store = LocalStore(self._root)

    def _sweep_staging(self) -> None:
        with needing_space("store the file"), self._folders.turn():
            for folder in (self._root / STAGING).iterdir():
                if folder.is_dir() and not is_held(folder / LOCK_NAME):
                    shutil.rmtree(folder, ignore_errors=True)

    def _drop_staging(self) -> None:
        shutil.rmtree(self._staging.folder, ignore_errors=True)
        self._staging.release()

    def _adopt(self, staged: Path, name: str) -> None:
        target = self._root / name
        with needing_space("store the file"):
            self._force_to_disk(staged)
            reached(Moment.BLOB_FORCED)
            with self._folders.turn():
                target.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(target)
            reached(Moment.BLOB_RENAMED)
            for folder in (target.parent, *self._folders_above(target.parent)):
                with suppress(FileNotFoundError):  # deleted again already
                    self._force_to_disk(folder)

    def _delete(self, prefix: str) -> None:
        while names := self._names(prefix):
            for name in names:
                with suppress(FileNotFoundError):  # another deletion of the same file was quicker
                    obstore.delete(self._store, name)
                reached(Moment.BLOB_DELETED)
        with self._folders.turn():
            survivor = self._prune(self._root / prefix)
        with suppress(FileNotFoundError):  # pruned in the next turn
            self._force_to_disk(survivor)

    def _prune(self, folder: Path) -> Path:
        """Remove empty folders in and above ``folder``, and return the first above that stays."""
        for within, _, _ in os.walk(folder, topdown=False):
            _remove_if_empty(Path(within))
        return next(
            above for above in self._folders_above(folder) if above == self._root or not _remove_if_empty(above)
        )

    def _names(self, prefix: str) -> list[str]:
        return sorted(blob["path"] for block in obstore.list(self._store, prefix) for blob in block)

    def _folders_above(self, folder: Path) -> Iterator[Path]:
        return (above for above in folder.parents if above.is_relative_to(self._root))


async def _blocks(found: obstore.GetResult, block_bytes: int) -> AsyncIterator[bytes]:
    async for block in found.stream(min_chunk_size=block_bytes):
        yield bytes(block)


def _force_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            return False
        raise
    return True
