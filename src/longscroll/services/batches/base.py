"""What the rooms of a batch share: a line, the reply to it, and what a surface does for the runner.

Knows no wire format: a surface reads lines and writes records, and says where it is wired (``app``) how.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from longscroll.services.files import FileService
from longscroll.storage.base import BlobStore
from longscroll.storage.batches import Batch, BatchStore

SkipReason = Literal["batch_expired", "batch_cancelled", "batch_failed"]
"""Why a line was never asked."""


class BatchOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[batch]`` section: how much of the service batches may take."""

    concurrency: int = 2  # lines of all batches that are answered at once
    max_lines: int = 50_000  # of one batch

    def __post_init__(self) -> None:
        for name in ("concurrency", "max_lines"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class RunOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How claims of batches are held, and how patient they are."""

    lease_s: float = 5.0  # after this the batches of a process that fell silent are taken up again
    renew_s: float = 0.5  # how soon a cancellation is noticed
    poll_s: float = 2.0  # for what other processes left
    backoff_s: float = 5.0  # after a failure that is not the batch's
    max_batches: int = 16  # under way at once; they take turns, line by line
    max_line_bytes: int = 16 << 20
    retry_s: float = 60.0  # how long a line is tried again whose model is away or sheds load
    last_words_s: float = 10.0  # for lines under way when their batch is canceled or its time is up


class Line(Struct, frozen=True, kw_only=True):
    """One line of the input: a request to an endpoint."""

    custom_id: str
    endpoint: str
    model: str
    body: bytes


class LineReply(Struct, frozen=True, kw_only=True):
    """The reply to a line, as the line of a file that tells of it."""

    status: int  # as HTTP has it
    record: bytes  # without an end of line


class Lines(Protocol):
    """What a surface does with the lines of a batch."""

    def read(self, text: bytes) -> Line:
        """Return what a line asks; in whichever thread.

        Raises:
            RequestError: it is not a request of this service.
        """

    def check_model(self, line: Line) -> None:
        """Refuse a line whose model nobody has; in whichever thread.

        Raises:
            LongscrollError: the model is missing, for something else, or not installed.
        """

    async def answer(self, batch: Batch, line: Line, request_id: str) -> LineReply:
        """Return the reply that a live request of the batch's key would have now, errors as well as answers.

        Raises:
            StorageFull: what the line used could not be written down.
        """

    def skip(self, line: Line, record_id: str, reason: SkipReason) -> bytes:
        """Return the record of a line that was never asked."""


class Rooms(Struct, frozen=True, kw_only=True):
    """What the runner of batches works with."""

    batches: BatchStore
    files: FileService
    blobs: BlobStore
    lines: Lines
    clock: Callable[[], datetime]
