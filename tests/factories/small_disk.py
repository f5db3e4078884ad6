"""A disk that can be filled to its last block and emptied again: a small file system in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A file system that can be filled to its last block and inode, and emptied again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave room for nothing."""
        with suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        with suppress(OSError):
            for number in range(1000):
                (self.folder / f"inode-{number}").mkdir()

    def leave(self, size_bytes: int) -> None:
        """Leave room for so many bytes only."""
        with (self.folder / "filler").open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, shutil.disk_usage(self.folder).free - size_bytes)

    def empty(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink(missing_ok=True)
        for folder in self.folder.glob("inode-*"):
            folder.rmdir()


@contextmanager
def small_disk(folder: Path, *, size_mb: int = 2, n_inodes: int = 200) -> Iterator[SmallDisk]:
    """Mount a disk of so many megabytes at a folder; skips the test where that is not allowed."""
    options = f"size={size_mb}m,nr_inodes={n_inodes}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs the right to mount")
    yield SmallDisk(folder)
    subprocess.run(["umount", str(folder)], check=True)
