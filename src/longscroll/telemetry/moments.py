"""The moments between two durable steps, so that a process can be ended at each of them.

Knows no store: who does a step says that it is reached.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Moment(StrEnum):
    """A point between two durable steps, at which a process may die; every one is tried (tests/acceptance)."""

    UPLOAD_STAGED = "upload.staged"  # all bytes came, nothing points to them
    BLOB_FORCED = "blob.forced"  # the bytes are on the disk under a passing name
    BLOB_RENAMED = "blob.renamed"  # and under their own, which a power cut could still undo
    UPLOAD_ADOPTED = "upload.adopted"  # a blob without a row
    ROW_WRITTEN = "row.written"  # inside a transaction
    ROW_COMMITTED = "row.committed"  # acknowledged to nobody yet
    CLAIMED = "ingest.claimed"
    PARSED = "ingest.parsed"  # the artifact is whole, but staged
    PREVIEW_ADOPTED = "ingest.preview_adopted"
    ARTIFACT_ADOPTED = "ingest.artifact_adopted"  # in place, not published
    PUBLISHED = "ingest.published"
    DELETE_MARKED = "delete.marked"
    DELETE_LET_GO = "delete.let_go"  # nobody parses it any more
    BLOB_DELETED = "blob.deleted"  # one of several
    BLOBS_DELETED = "delete.blobs_deleted"  # a row without blobs
    ROW_REMOVED = "delete.row_removed"  # what it said is still in the log of the database
    USAGE_RECORDED = "usage.recorded"  # its client is not told yet


_observers: list[Callable[[Moment], None]] = []


def observe_moments(observer: Callable[[Moment], None]) -> None:
    """Have ``observer`` called at every moment, in the thread that reaches it."""
    _observers.append(observer)


def reached(moment: Moment) -> None:
    """Say that this process is at a moment; nothing happens unless somebody observes."""
    for observer in _observers:
        observer(moment)
