"""A disk in memory: paths whose files are entries of a dictionary, so that no history waits for a device."""

from __future__ import annotations

from pathlib import Path, PosixPath
from typing import Any


def new_disk() -> Path:
    """Return the root of an empty disk; paths made from it stay on it."""
    files: dict[str, bytes] = {}

    class MemoryPath(PosixPath):
        """A path on this disk. It has files only; folders are there as soon as something lies in them."""

        def write_bytes(self, data: Any) -> int:
            files[str(self)] = bytes(data)
            return len(data)

        def read_bytes(self) -> bytes:
            return files[self._present()]

        def is_file(self) -> bool:
            return str(self) in files

        def rename(self, target: Any) -> Any:
            files[str(target)] = files.pop(self._present())
            return target

        def unlink(self, missing_ok: bool = False) -> None:
            if not (missing_ok and str(self) not in files):
                del files[self._present()]

        def _present(self) -> str:
            if str(self) not in files:
                raise FileNotFoundError(str(self))
            return str(self)

    return MemoryPath("/")
