"""Defects, one each, that the simulation must find: were one of them not found, its passing would say nothing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from msgspec.structs import asdict, replace

from longscroll.documents.claimed import ClaimedFile
from longscroll.documents.ingest import Ingest
from longscroll.services.files import FileService
from longscroll.storage.base import ARTIFACT, BYTES, NO_LIMIT, Claim, Outcome, Quota, blob_prefix
from longscroll.storage.memory import MemoryFiles
from longscroll.types import File, FileStatus, Progress
from simulation.history import Cast
from simulation.views import BlobsView, PresenceView


class PublishesForAnybody(MemoryFiles):
    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        row = self._rows.get((claim.file.workspace, claim.file.id))
        if row is None or row.file.status != FileStatus.UPLOADED:
            return False
        row.end_lease(**asdict(outcome))
        return True


class PublishesAgain(MemoryFiles):
    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        row = self._rows.get((claim.file.workspace, claim.file.id))
        if row is None or row.file.status == FileStatus.DELETING:
            return False
        row.end_lease(**asdict(outcome))
        return True


class RenewsForAnybody(MemoryFiles):
    async def renew(self, claim: Claim, *, now: datetime, lease_s: float, progress: Progress | None = None) -> bool:
        await super().renew(claim, now=now, lease_s=lease_s, progress=progress)
        return True


class ClaimsWhatIsHeld(MemoryFiles):
    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        for row in self._rows.values():
            row.lease_until = None
        return await super().claim(owner, now=now, lease_s=lease_s, share=share)


class FenceStandsStill(MemoryFiles):
    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        claim = await super().claim(owner, now=now, lease_s=lease_s, share=share)
        if claim is None:
            return None
        self._rows[claim.file.workspace, claim.file.id].fence = 1
        return replace(claim, fence=1)


class MarkingEndsTheLease(MemoryFiles):
    async def mark_deleting(self, workspace: str, file_id: str) -> bool:
        is_marked = await super().mark_deleting(workspace, file_id)
        if is_marked:
            self._rows[workspace, file_id].end_lease()
        return is_marked


class ShowsTheDeleted(MemoryFiles):
    async def get(self, workspace: str, file_id: str) -> File | None:
        row = self._rows.get((workspace, file_id))
        return row.file if row is not None else None


class LosesTheNewest(MemoryFiles):
    async def remove(self, workspace: str, file_id: str) -> None:
        await super().remove(workspace, file_id)
        if self._rows:
            self._rows.popitem()


class NeverLetsGo(MemoryFiles):
    async def release(self, claim: Claim) -> None:
        pass

    async def forfeit(self, owners: Collection[str]) -> int:
        return 0

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        return await super().claim(owner, now=now, lease_s=3600.0, share=share)


class EarlyFirst(MemoryFiles):
    """The store of an unfair queue: who uploaded first comes first."""

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        free = [row for row in self._rows.values() if row.is_free(now)]
        for row in free[1:]:
            row.lease_until = datetime.max.replace(tzinfo=now.tzinfo)
        claim = await super().claim(owner, now=now, lease_s=lease_s, share=share)
        for row in free[1:]:
            row.lease_until = None
        return claim


class AnswersEarly(BlobsView):
    async def adopt(self, staged: Path, name: str) -> None:
        if name.endswith(ARTIFACT):
            self.world.loop.create_task(super().adopt(staged, name))
        else:
            await super().adopt(staged, name)


class NeverSweeps(BlobsView):
    async def sweep_staging(self) -> None:
        pass


class SweepsTheLiving(BlobsView):
    async def sweep_staging(self) -> None:
        await super().sweep_staging()
        for life in self.world.lives.values():
            for path in life.staged:
                path.unlink(missing_ok=True)


class TakesTheLivingForDead(PresenceView):
    async def dead(self, owners: Collection[str]) -> set[str]:
        await super().dead(owners)
        return set(owners)


class DeletesAtOnce(FileService):
    async def delete(self, workspace: str, file_id: str) -> None:
        if await self.files.mark_deleting(workspace, file_id):
            await self.blobs.delete_prefix(blob_prefix(workspace, file_id))
            await self.files.remove(workspace, file_id)


class DeletesTheRowFirst(FileService):
    async def delete(self, workspace: str, file_id: str) -> None:
        if await self.files.mark_deleting(workspace, file_id):
            await self.files.remove(workspace, file_id)
            await self._ingest.cancel(workspace, file_id)
            await self.blobs.delete_prefix(blob_prefix(workspace, file_id))


class NeverRecovers(FileService):
    async def recover(self) -> None:
        pass


class AddsTheRowFirst(FileService):
    async def _store(self, staged: Path, file: File, *, quota: Quota | None) -> File:
        stored = await self.files.add(file, quota=quota)
        await self.blobs.adopt(staged, blob_prefix(file.workspace, file.id) + BYTES)
        self._ingest.notify()
        return stored


class _PublishedFirst(ClaimedFile):
    async def _publish(self, outcome: Outcome, staged: Path) -> bool:
        is_published = await self._rooms.files.publish(self.claim, outcome)
        if is_published and outcome.status == FileStatus.PROCESSED:
            await self._rooms.blobs.adopt(staged, self._prefix + ARTIFACT)
        return is_published


class _NeverWithdrawn(ClaimedFile):
    async def _withdraw(self) -> None:
        pass


class _NeverRenewed(ClaimedFile):
    async def _renew(self) -> bool:
        return True


class _PreviewForgotten(ClaimedFile):
    async def _publish(self, outcome: Outcome, staged: Path) -> bool:
        self._has_preview = False
        return await super()._publish(outcome, staged)


class PublishesFirst(Ingest):
    async def _ingest(self, file: ClaimedFile) -> None:
        file.__class__ = _PublishedFirst
        await super()._ingest(file)


class NeverWithdraws(Ingest):
    async def _ingest(self, file: ClaimedFile) -> None:
        file.__class__ = _NeverWithdrawn
        await super()._ingest(file)


class NeverRenews(Ingest):
    async def _ingest(self, file: ClaimedFile) -> None:
        file.__class__ = _NeverRenewed
        await super()._ingest(file)


class ForgetsPreviews(Ingest):
    async def _ingest(self, file: ClaimedFile) -> None:
        file.__class__ = _PreviewForgotten
        await super()._ingest(file)


class CancelsHereOnly(Ingest):
    async def cancel(self, workspace: str, file_id: str) -> None:
        running = self._running.get((workspace, file_id))
        if running is not None:
            running.task.cancel()


MUTANTS = {
    **{
        store.__name__: Cast(files=store)
        for store in (
            PublishesForAnybody,
            PublishesAgain,
            RenewsForAnybody,
            ClaimsWhatIsHeld,
            FenceStandsStill,
            MarkingEndsTheLease,
            ShowsTheDeleted,
            LosesTheNewest,
            NeverLetsGo,
        )
    },
    **{view.__name__: Cast(blobs_view=view) for view in (AnswersEarly, NeverSweeps, SweepsTheLiving)},
    "TakesTheLivingForDead": Cast(presence_view=TakesTheLivingForDead),
    **{
        service.__name__: Cast(service=service)
        for service in (
            DeletesAtOnce,
            DeletesTheRowFirst,
            NeverRecovers,
            AddsTheRowFirst,
        )
    },
    **{
        ingest.__name__: Cast(ingest=ingest)
        for ingest in (
            PublishesFirst,
            NeverWithdraws,
            NeverRenews,
            ForgetsPreviews,
            CancelsHereOnly,
        )
    },
}
