"""What can be seen of a process from outside: its log, and the moments of its durable work.

A log is one structured line per event on standard error. Events carry request ids, routes, statuses, counts and times;
never a prompt, a file name or a key. Knows no request and no secret.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from enum import StrEnum

import structlog


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


_observers: list[Callable[[Moment], None]] = []


def observe_moments(observer: Callable[[Moment], None]) -> None:
    """Have ``observer`` called at every moment, in the thread that reaches it."""
    _observers.append(observer)


def reached(moment: Moment) -> None:
    """Say that this process is at a moment; nothing happens unless somebody observes."""
    for observer in _observers:
        observer(moment)


def configure_logging(*, level: str = "info", as_json: bool | None = None) -> None:
    """Send every log line of this process to standard error.

    JSON lines unless standard error is a terminal; ``as_json`` decides otherwise. Called once by a command.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    if as_json is False or (as_json is None and sys.stderr.isatty()):
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every malformed form, with its bytes
