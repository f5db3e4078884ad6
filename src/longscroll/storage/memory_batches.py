"""The memory twin of ``sql_batches``: product code, for tests and short-lived services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from longscroll.storage.batches import (
    ANSWERING,
    CANCELABLE,
    UNFINISHED,
    Batch,
    BatchClaim,
    BatchFilter,
    BatchStatus,
    LineResult,
)


class _Row(Struct):
    """A batch with what only the store knows of it."""

    batch: Batch
    fence: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None
    results: dict[int, LineResult] = {}

    def is_leased(self, now: datetime) -> bool:
        return self.lease_until is not None and self.lease_until > now

    def end_lease(self) -> None:
        self.lease_owner = self.lease_until = None


class MemoryBatches:
    """``BatchStore`` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}

    async def add(self, batch: Batch) -> Batch:
        """Insert a batch; see ``BatchStore.add``. Raises ValueError when its id is there."""
        key = batch.workspace, batch.id
        if key in self._rows:
            raise ValueError(f"The workspace has a batch {batch.id} already.")
        batch = replace(batch, sequence=len(self._rows) + 1)
        self._rows[key] = _Row(batch)
        return batch

    async def get(self, workspace: str, batch_id: str) -> Batch | None:
        """Return a batch; see ``BatchStore.get``."""
        row = self._rows.get((workspace, batch_id))
        return row.batch if row is not None else None

    async def page(
        self, workspace: str, *, which: BatchFilter, after: str | None, limit: int
    ) -> tuple[list[Batch], bool]:
        """List by cursor; see ``BatchStore.page``."""
        found = [row.batch for (owner, _), row in self._rows.items() if owner == workspace and _matches(row, which)]
        if after is not None:
            last = self._rows.get((workspace, after))
            found = [batch for batch in found if last is not None and batch.sequence < last.batch.sequence]
        found.sort(key=lambda batch: -batch.sequence)
        return found[:limit], len(found) > limit

    async def cancel(self, workspace: str, batch_id: str, *, now: datetime) -> Batch | None:
        """Begin to cancel; see ``BatchStore.cancel``."""
        row = self._rows.get((workspace, batch_id))
        if row is None:
            return None
        if row.batch.status in CANCELABLE:
            row.batch = replace(row.batch, status=BatchStatus.CANCELLING, cancelling_at=now)
        return row.batch

    async def claim(self, owner: str, *, now: datetime, lease_s: float) -> BatchClaim | None:
        """Claim the earliest free batch of the workspace with the fewest leases; see ``BatchStore.claim``."""
        n_leased = Counter(row.batch.workspace for row in self._rows.values() if row.is_leased(now))
        free = [row for row in self._rows.values() if row.batch.status in UNFINISHED and not row.is_leased(now)]
        if not free:
            return None
        row = min(free, key=lambda row: (n_leased[row.batch.workspace], row.batch.sequence))
        row.fence += 1
        row.lease_owner, row.lease_until = owner, now + timedelta(seconds=lease_s)
        return BatchClaim(batch=row.batch, owner=owner, fence=row.fence)

    async def renew(self, claim: BatchClaim, *, now: datetime, lease_s: float) -> Batch | None:
        """Prolong a claim; see ``BatchStore.renew``."""
        row = self._held(claim)
        if row is None:
            return None
        row.lease_until = now + timedelta(seconds=lease_s)
        return row.batch

    async def advance(self, claim: BatchClaim, batch: Batch, *, was: BatchStatus) -> bool:
        """Write a batch by compare-and-set; see ``BatchStore.advance``."""
        row = self._held(claim)
        if row is None or row.batch.status != was:
            return False
        row.batch = batch
        return True

    async def release(self, claim: BatchClaim) -> None:
        """Let go of a batch; see ``BatchStore.release``."""
        row = self._held(claim)
        if row is not None:
            row.end_lease()

    async def owners(self) -> set[str]:
        """Return who has a lease; see ``BatchStore.owners``."""
        return {row.lease_owner for row in self._rows.values() if row.lease_owner is not None}

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of the dead; see ``BatchStore.forfeit``."""
        theirs = [row for row in self._rows.values() if row.lease_owner in owners]
        for row in theirs:
            row.end_lease()
        return len(theirs)

    async def add_result(self, claim: BatchClaim, result: LineResult) -> bool:
        """Keep a reply and count it; see ``BatchStore.add_result``."""
        row = self._held(claim)
        if row is None or row.batch.status not in ANSWERING:
            return False
        if result.line not in row.results:
            row.results[result.line] = result
            counted = "n_failed" if result.is_failed else "n_completed"
            row.batch = replace(row.batch, **{counted: getattr(row.batch, counted) + 1})
        return True

    async def answered(self, claim: BatchClaim) -> set[int]:
        """Return the lines with a reply; see ``BatchStore.answered``."""
        return set(self._of(claim).results)

    async def results(self, claim: BatchClaim, *, is_failed: bool, after: int, limit: int) -> Sequence[LineResult]:
        """Return replies in order; see ``BatchStore.results``."""
        found = [result for result in self._of(claim).results.values() if result.is_failed == is_failed]
        return sorted((result for result in found if result.line > after), key=lambda result: result.line)[:limit]

    async def drop_results(self, claim: BatchClaim, *, limit: int) -> int:
        """Forget some replies; see ``BatchStore.drop_results``."""
        results = self._of(claim).results
        dropped = sorted(results)[:limit]
        for line in dropped:
            del results[line]
        return len(dropped)

    def _of(self, claim: BatchClaim) -> _Row:
        return self._rows[claim.batch.workspace, claim.batch.id]

    def _held(self, claim: BatchClaim) -> _Row | None:
        row = self._of(claim)
        return row if (row.fence, row.lease_owner) == (claim.fence, claim.owner) else None


def _matches(row: _Row, which: BatchFilter) -> bool:
    batch = row.batch
    return (
        which.name_part.lower() in batch.name.lower()
        and (not which.input_file_ids or batch.input_file_id in which.input_file_ids)
        and (not which.statuses or batch.status in which.statuses)
        and (which.created_after is None or batch.created_at > which.created_after)
        and (which.created_before is None or batch.created_at < which.created_before)
    )
