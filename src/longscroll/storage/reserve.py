"""A stretch of disk that is kept for what makes room: on a full disk a deletion needs some pages before it frees any.

Owns one file of zeros. Knows no database.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 1 << 20
"""Some hundred deletions: each writes a few pages to the log of the database."""


class Reserve:
    """The reserve at ``path``; any thread, and any process on the folder, may keep and spend it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Have a reserve, unless there is no space for one now."""
        if self._path.exists():
            return
        with suppress(OSError):  # asked for again after the next deletion
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                self._path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)

    def spend(self) -> None:
        """Give its space back to the disk; a neighbor may have done so already."""
        self._path.unlink(missing_ok=True)
