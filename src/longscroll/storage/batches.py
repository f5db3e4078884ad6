"""Batches as they are stored: the row, which is also the queue, and the replies that a running batch has so far.

Owns what a batch store promises; the memory twin and the real store obey one contract. Every method carries a workspace
or a claim, save those of the service's own housekeeping. Knows no wire format: a record is bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class BatchStatus(StrEnum):
    """A batch's life: ``validating`` → ``in_progress`` → ``finalizing`` → ``completed`` | ``failed`` | ``expired``.

    ``cancelling`` may come before ``finalizing`` and leads to ``cancelled``; faults of the input lead to ``failed``.
    """

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


UNFINISHED = (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS, BatchStatus.FINALIZING, BatchStatus.CANCELLING)
CANCELABLE = (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS)
ANSWERING = (BatchStatus.IN_PROGRESS, BatchStatus.CANCELLING)


class BatchFault(Struct, frozen=True, kw_only=True):
    """Why a batch was not carried out, by line of its input where one is to blame."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None  # from 1


class Batch(Struct, frozen=True, kw_only=True):
    """One batch, as its row says it."""

    workspace: str
    id: str
    key_id: str  # whose lines they are
    endpoint: str
    input_file_id: str
    completion_window: str  # as it was given
    name: str = ""  # what listings are searched by
    metadata: Mapping[str, str] = {}
    status: BatchStatus = BatchStatus.VALIDATING
    created_at: datetime
    expires_at: datetime
    in_progress_at: datetime | None = None
    finalizing_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    expired_at: datetime | None = None
    cancelling_at: datetime | None = None
    cancelled_at: datetime | None = None
    n_total: int = 0
    n_completed: int = 0
    n_failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[BatchFault, ...] = ()
    sequence: int = 0  # given by the store, ascending over all workspaces


class BatchFilter(Struct, frozen=True, kw_only=True):
    """Which batches a listing shows; empty: any. Bounds are exclusive."""

    name_part: str = ""  # anywhere in the name, whatever its case
    input_file_ids: tuple[str, ...] = ()
    statuses: tuple[BatchStatus, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


class BatchClaim(Struct, frozen=True, kw_only=True):
    """The right to carry out one batch while the lease holds; ``fence`` grows with each claim of the batch."""

    batch: Batch
    owner: str
    fence: int


class LineResult(Struct, frozen=True, kw_only=True):
    """The reply to one line of a batch."""

    line: int  # from 1
    is_failed: bool
    record: bytes  # the line of the output or error file, without its end


class BatchStore(Protocol):
    """The rows of batches, and the replies of those that are under way."""

    async def add(self, batch: Batch) -> Batch:
        """Insert a batch; durable when it returns. Returns it with its ``sequence``.

        Raises:
            ValueError: the workspace has a batch of that id.
        """

    async def get(self, workspace: str, batch_id: str) -> Batch | None:
        """Return the batch, or None when missing or foreign."""

    async def page(
        self, workspace: str, *, which: BatchFilter, after: str | None, limit: int
    ) -> tuple[list[Batch], bool]:
        """List batches by cursor, newest first; the bool says whether more follow. An unknown ``after`` has none."""

    async def cancel(self, workspace: str, batch_id: str, *, now: datetime) -> Batch | None:
        """Have a batch that is not at its end become ``cancelling``, durably; return it as it is then."""

    async def claim(self, owner: str, *, now: datetime, lease_s: float) -> BatchClaim | None:
        """Take an unfinished batch whose lease is free or past; None when there is none.

        The workspace with the fewest claimed batches comes first, within it the earliest.
        """

    async def renew(self, claim: BatchClaim, *, now: datetime, lease_s: float) -> Batch | None:
        """Prolong a claim and return the batch as it is; None when the claim is lost."""

    async def advance(self, claim: BatchClaim, batch: Batch, *, was: BatchStatus) -> bool:
        """Write a batch if the claim holds and its status is what it ``was``; durable when it returns True."""

    async def release(self, claim: BatchClaim) -> None:
        """Let go of a batch; nothing happens when the claim is lost."""

    async def owners(self) -> set[str]:
        """Return all who have a lease, past ones too."""

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of owners that are known to be dead. Returns how many there were."""

    async def add_result(self, claim: BatchClaim, result: LineResult) -> bool:
        """Keep the reply to a line and count it, durably; False, and nothing is kept, when the claim is lost.

        A line that has a reply keeps its first one.
        """

    async def answered(self, claim: BatchClaim) -> set[int]:
        """Return the lines that have a reply."""

    async def results(self, claim: BatchClaim, *, is_failed: bool, after: int, limit: int) -> Sequence[LineResult]:
        """Return replies in the order of their lines, those behind the line ``after``."""

    async def drop_results(self, claim: BatchClaim, *, limit: int) -> int:
        """Forget up to so many replies of a batch, once they are in its files; returns how many it were."""
