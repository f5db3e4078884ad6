"""The memory twins: the same promises as the real stores, but for one process and one life.

Owns dictionaries, and one private temporary folder for blobs, because readers map files. Tests and one-shot commands
use them; the contract suite holds them to what the real stores do. All of it runs on the event loop.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import asdict, replace

from longscroll.errors import Overloaded, StorageFull
from longscroll.storage.base import (
    NO_LIMIT,
    Claim,
    FileFilter,
    Key,
    Outcome,
    Quota,
    UsageFilter,
    UsageGroup,
    UsageRecord,
    UsageSum,
)
from longscroll.storage.names import check_deletable, check_listable, check_name
from longscroll.types import File, FileStatus, HeldFiles, Progress

ENDED = (FileStatus.PROCESSED, FileStatus.ERROR)


class _Row(Struct):
    """A file with what only the store knows of it."""

    file: File
    fence: int = 0
    lease_owner: str | None = None
    lease_until: datetime | None = None

    def is_leased(self, now: datetime) -> bool:
        return self.lease_until is not None and self.lease_until > now

    def is_free(self, now: datetime) -> bool:
        return self.file.status == FileStatus.UPLOADED and not self.is_leased(now)

    def belongs_to(self, claim: Claim) -> bool:
        return self.fence == claim.fence and self.lease_owner == claim.owner

    def end_lease(self, **changes: object) -> None:
        self.file = replace(self.file, progress=None, **changes)
        self.lease_owner = self.lease_until = None


class MemoryFiles:
    """``FileStore`` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], _Row] = {}
        self._removed: dict[tuple[str, str], int] = {}
        self._n_added = 0

    async def add(self, file: File, *, quota: Quota | None = None) -> File:
        """Insert a file; raises ValueError when its id is there. See ``FileStore.add``."""
        if quota is not None:
            quota.check(await self.totals(file.workspace), size_bytes=file.size_bytes)
        if (file.workspace, file.id) in self._rows:
            raise ValueError(f"The workspace has a file {file.id} already.")
        self._n_added += 1
        file = replace(file, sequence=self._n_added)
        self._rows[file.workspace, file.id] = _Row(file)
        return file

    async def get(self, workspace: str, file_id: str) -> File | None:
        """Return a visible file; see ``FileStore.get``."""
        row = self._rows.get((workspace, file_id))
        return row.file if row is not None and row.file.status != FileStatus.DELETING else None

    async def get_many(self, workspace: str, file_ids: Sequence[str]) -> dict[str, File]:
        """Return the visible ones of some files; see ``FileStore.get_many``."""
        found = [await self.get(workspace, file_id) for file_id in file_ids]
        return {file.id: file for file in found if file is not None}

    async def page(
        self, workspace: str, *, which: FileFilter, after: str | None, limit: int, ascending: bool = False
    ) -> tuple[list[File], bool]:
        """List by cursor; see ``FileStore.page``. A removed file still serves as ``after``."""
        found = [file for file in self._visible(workspace) if _matches(file, which)]
        if after is not None:
            place = self._place(workspace, after)
            if place is None:
                return [], False
            found = [file for file in found if (file.sequence > place if ascending else file.sequence < place)]
        found.sort(key=lambda file: file.sequence, reverse=not ascending)
        return found[:limit], len(found) > limit

    async def numbered_page(self, workspace: str, *, number: int, size: int) -> tuple[list[File], int]:
        """List by number; see ``FileStore.numbered_page``."""
        found = sorted(self._visible(workspace), key=lambda file: -file.sequence)
        return found[(number - 1) * size : number * size], len(found)

    async def totals(self, workspace: str) -> tuple[int, int]:
        """Count files and bytes; see ``FileStore.totals``."""
        found = self._visible(workspace)
        return len(found), sum(file.size_bytes for file in found)

    async def workspaces(self) -> list[str]:
        """Return the workspaces with files; see ``FileStore.workspaces``."""
        return sorted({workspace for workspace, _ in self._rows})

    async def census(self, workspace: str | None) -> list[HeldFiles]:
        """Count by state; see ``FileStore.census``."""
        found: dict[tuple[str, FileStatus], list[int]] = {}
        for (owner, _), row in self._rows.items():
            if workspace in {None, owner}:
                found.setdefault((owner, row.file.status), []).append(row.file.size_bytes)
        return [
            HeldFiles(workspace=owner, status=status, n_files=len(sizes), n_bytes=sum(sizes))
            for (owner, status), sizes in found.items()
        ]

    async def mark_deleting(self, workspace: str, file_id: str) -> bool:
        """Make a file invisible; see ``FileStore.mark_deleting``."""
        file = await self.get(workspace, file_id)
        if file is None:
            return False
        self._rows[workspace, file_id].file = replace(file, status=FileStatus.DELETING)
        return True

    async def remove(self, workspace: str, file_id: str) -> None:
        """Remove the row of a file marked as deleting; see ``FileStore.remove``."""
        row = self._rows.get((workspace, file_id))
        if row is not None and row.file.status == FileStatus.DELETING:
            del self._rows[workspace, file_id]
            self._removed[workspace, file_id] = row.file.sequence

    async def being_deleted(self) -> list[File]:
        """Return files marked as deleting; see ``FileStore.being_deleted``."""
        return [row.file for row in self._rows.values() if row.file.status == FileStatus.DELETING]

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        """Claim the smallest free file of the workspace with the fewest leases; see ``FileStore.claim``."""
        leased = [row for row in self._rows.values() if row.is_leased(now)]
        n_leased = Counter(row.file.workspace for row in leased)
        n_held = Counter(row.file.workspace for row in leased if row.lease_owner == owner)
        free = [row for row in self._rows.values() if row.is_free(now) and n_held[row.file.workspace] < share]
        if not free:
            return None
        row = min(free, key=lambda row: (n_leased[row.file.workspace], row.file.size_bytes, row.file.sequence))
        row.fence += 1
        row.file = replace(row.file, attempt=row.file.attempt + 1, progress=None)
        row.lease_owner, row.lease_until = owner, now + timedelta(seconds=lease_s)
        return Claim(file=row.file, owner=owner, fence=row.fence, lease_until=row.lease_until)

    async def renew(self, claim: Claim, *, now: datetime, lease_s: float, progress: Progress | None = None) -> bool:
        """Prolong a claim; see ``FileStore.renew``. Without a progress the last one stays."""
        row = self._held(claim)
        if row is None:
            return False
        row.lease_until = now + timedelta(seconds=lease_s)
        if progress is not None:
            row.file = replace(row.file, progress=progress)
        return True

    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        """Write the final state if the claim holds; see ``FileStore.publish``."""
        row = self._held(claim)
        if row is None:
            return False
        row.end_lease(**asdict(outcome))
        return True

    async def release(self, claim: Claim) -> None:
        """Give a claim back, its attempt too; see ``FileStore.release``."""
        row = self._rows.get((claim.file.workspace, claim.file.id))
        if row is not None and row.belongs_to(claim):
            row.end_lease(attempt=row.file.attempt - 1)

    async def is_claimed(self, workspace: str, file_id: str, *, now: datetime) -> bool:
        """Look for a lease that holds; see ``FileStore.is_claimed``."""
        row = self._rows.get((workspace, file_id))
        return row is not None and row.is_leased(now)

    async def owners(self) -> set[str]:
        """Return who has a lease; see ``FileStore.owners``."""
        return {row.lease_owner for row in self._rows.values() if row.lease_owner is not None}

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of the dead; see ``FileStore.forfeit``."""
        theirs = [row for row in self._rows.values() if row.lease_owner in owners]
        for row in theirs:
            row.end_lease()
        return len(theirs)

    async def requeue(self, workspace: str, file_id: str) -> bool:
        """Have a file ingested anew; see ``FileStore.requeue``."""
        row = self._rows.get((workspace, file_id))
        if row is None or row.file.status not in ENDED:
            return False
        row.file = replace(row.file, attempt=0, **asdict(Outcome(status=FileStatus.UPLOADED)))
        return True

    def _visible(self, workspace: str) -> list[File]:
        files = (row.file for (owner, _), row in self._rows.items() if owner == workspace)
        return [file for file in files if file.status != FileStatus.DELETING]

    def _place(self, workspace: str, file_id: str) -> int | None:
        row = self._rows.get((workspace, file_id))
        return self._removed.get((workspace, file_id)) if row is None else row.file.sequence

    def _held(self, claim: Claim) -> _Row | None:
        row = self._rows.get((claim.file.workspace, claim.file.id))
        is_held = row is not None and row.file.status == FileStatus.UPLOADED and row.belongs_to(claim)
        return row if is_held else None


def _matches(file: File, which: FileFilter) -> bool:
    return (
        (which.purpose is None or file.purpose == which.purpose)
        and (which.created_after is None or file.created_at > which.created_after)
        and (which.created_before is None or file.created_at < which.created_before)
    )


class MemoryKeys:
    """``KeyStore`` in a dictionary."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Key] = {}

    async def add_key(self, key: Key) -> None:
        """Insert a key; raises ValueError when its digest or id is there. See ``KeyStore.add_key``."""
        ids = {(known.workspace, known.id) for known in self._keys.values()}
        if key.digest in self._keys or (key.workspace, key.id) in ids:
            raise ValueError(f"The key {key.id} is stored already.")
        self._keys[key.digest] = key

    async def find_key(self, digest: bytes) -> Key | None:
        """Find by digest; see ``KeyStore.find_key``."""
        return self._keys.get(digest)

    async def get_key(self, workspace: str | None, key_id: str) -> Key | None:
        """Find by id; see ``KeyStore.get_key``."""
        return next((key for key in await self.list_keys(workspace) if key.id == key_id), None)

    async def list_keys(self, workspace: str | None) -> list[Key]:
        """List keys; see ``KeyStore.list_keys``."""
        found = [key for key in self._keys.values() if workspace in (None, key.workspace)]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke a key; see ``KeyStore.revoke_key``."""
        for digest, key in self._keys.items():
            if key.id == key_id and key.revoked_at is None:
                self._keys[digest] = replace(key, revoked_at=now)
                return True
        return False

    async def replace_key(self, key_id: str, successor: Key, *, until: datetime, now: datetime) -> bool:
        """Let a key end and insert its successor; see ``KeyStore.replace_key``."""
        key = await self.get_key(None, key_id)
        if key is None or not key.is_valid(now):
            return False
        await self.add_key(successor)
        self._keys[key.digest] = replace(key, expires_at=min(until, key.expires_at or until))
        return True


class MemoryUsage:
    """``UsageStore`` in a dictionary. ``refusal``, where it is set, is raised by whoever writes."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], UsageRecord] = {}
        self.refusal: Overloaded | StorageFull | None = None

    async def add(self, record: UsageRecord) -> None:
        """Insert a row; see ``UsageStore.add``."""
        if self.refusal is not None:
            raise self.refusal
        self.rows[record.workspace, record.request_id] = record

    async def latest(self, which: UsageFilter, *, limit: int) -> list[UsageRecord]:
        """Return the latest rows; see ``UsageStore.latest``."""
        rows = [row for row in self.rows.values() if _counts(row, which)]
        return sorted(rows, key=lambda row: row.at, reverse=True)[:limit]

    async def sums(self, by: UsageGroup, which: UsageFilter) -> list[UsageSum]:
        """Add up by group; see ``UsageStore.sums``."""
        groups: dict[str, list[UsageRecord]] = {}
        for row in self.rows.values():
            if _counts(row, which):
                groups.setdefault(_group(row, by), []).append(row)
        return [
            UsageSum(
                name=name,
                n_requests=len(rows),
                n_input=sum(row.n_input for row in rows),
                n_output=sum(row.n_output for row in rows),
                n_cached=sum(row.n_cached for row in rows),
                n_read=sum(row.n_read for row in rows),
            )
            for name, rows in sorted(groups.items())
        ]

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Remove old rows; see ``UsageStore.forget``."""
        old = [key for key, row in self.rows.items() if row.at < before][:limit]
        for key in old:
            del self.rows[key]
        return len(old)


def _counts(row: UsageRecord, which: UsageFilter) -> bool:
    return (
        which.workspace in (None, row.workspace)
        and (which.since is None or row.at >= which.since)
        and (which.until is None or row.at < which.until)
    )


def _group(row: UsageRecord, by: UsageGroup) -> str:
    names = {"key": row.key_id, "model": row.model, "workspace": row.workspace}
    return f"{row.at.astimezone(UTC):%Y-%m-%d}" if by == "day" else names[by]


class MemoryBlobs:
    """``BlobStore`` in a private temporary folder, gone with ``close`` or with the object."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="longscroll-"))
        self._paths: dict[str, Path] = {}
        self._clean = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    async def close(self) -> None:
        """Remove the folder."""
        await asyncio.to_thread(self._clean)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def staging_path(self) -> Path:
        """Return a fresh path; see ``BlobStore.staging_path``."""
        return self._folder / token_hex(16)

    async def sweep_staging(self) -> None:
        """Do nothing: no other process stages here; see ``BlobStore.sweep_staging``."""

    async def adopt(self, staged: Path, name: str) -> None:
        """Take a staged file as it lies; see ``BlobStore.adopt``."""
        check_name(name)
        path = self._folder / token_hex(16)
        await asyncio.to_thread(staged.rename, path)
        replaced = self._paths.get(name)
        self._paths[name] = path
        if replaced is not None:
            await asyncio.to_thread(replaced.unlink)

    async def local_path(self, name: str) -> Path | None:
        """Return the file that holds the blob; see ``BlobStore.local_path``."""
        return self._paths.get(check_name(name))

    async def local_paths(self, names: Sequence[str]) -> list[Path | None]:
        """Return the paths of several blobs; see ``BlobStore.local_paths``."""
        return [await self.local_path(name) for name in names]

    async def read(self, name: str, *, block_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
        """Stream a blob; see ``BlobStore.read``. Raises FileNotFoundError when there is none."""
        path = self._paths.get(check_name(name))
        if path is None:
            raise FileNotFoundError(name)
        return _blocks(await asyncio.to_thread(path.read_bytes), block_bytes)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove the blobs of a file; see ``BlobStore.delete_prefix``."""
        for path in [self._paths.pop(name) for name in await self.list_names(check_deletable(prefix))]:
            await asyncio.to_thread(path.unlink)

    async def list_names(self, prefix: str) -> Sequence[str]:
        """List names in order; see ``BlobStore.list_names``."""
        check_listable(prefix)
        return sorted(name for name in self._paths if name.startswith(prefix))


async def _blocks(content: bytes, block_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), block_bytes):
        yield content[start : start + block_bytes]


class MemoryPresence:
    """``Presence`` as a set of names, which all that are to see each other share."""

    def __init__(self, living: set[str] | None = None, *, owner: str | None = None) -> None:
        self.owner = owner or token_hex(8)
        self._living = set() if living is None else living

    async def start(self) -> None:
        """Be present."""
        self._living.add(self.owner)

    async def stop(self) -> None:
        """Be present no more; nothing happens when it is not."""
        self._living.discard(self.owner)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def declare_dead(self, owner: str) -> None:
        """Have everybody take an owner for dead from now on, as if it had been killed."""
        self._living.discard(owner)

    async def dead(self, owners: Collection[str]) -> set[str]:
        """Return who is not in the set; see ``Presence.dead``. Who asks is alive."""
        return set(owners) - self._living - {self.owner}
