"""A disk that can be filled to its last block and emptied again: a small file system in memory."""

from __future__ import annotations

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

    def empty(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()
        for folder in self.folder.glob("inode-*"):
            folder.rmdir()


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount a disk of two megabytes at a folder; skips the test where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=200", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs the right to mount")
    yield SmallDisk(folder)
    subprocess.run(["umount", str(folder)], check=True)
