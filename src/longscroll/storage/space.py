"""What the system says when a disk is full, for all who write files.

Owns the list of its words and their one meaning, ``StorageFull``. Knows no store; SQLite has words of its own.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from longscroll.errors import StorageFull

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def needing_space(purpose: str) -> Iterator[None]:
    """Raise StorageFull for an OSError that means a full disk or quota; ``purpose`` ends its sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise StorageFull(f"No space is left to {purpose}.") from error
