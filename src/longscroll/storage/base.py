"""What the service asks of its stores: rows of files, keys and usage, and blobs.

Memory twins and the real stores obey one contract.

Every row, key and prefix carries its workspace; no method can be called without one, save those that the service's own
housekeeping uses. Methods are safe on the event loop: implementations do their waiting in threads of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from longscroll.errors import DocumentErrorKind, QuotaExceeded
from longscroll.types import File, FileStatus, HeldFiles, Operation, Progress, Readable, SurfaceName

NO_LIMIT = 2**31 - 1


BYTES = "bytes"
"""The name, under a file's prefix, of the bytes as uploaded."""

ARTIFACT = "artifact"
"""The name, under a file's prefix, of what parsing made of it."""

PREVIEW_FOLDER = "preview/"
"""Holds, under a file's prefix, what can be read of it while the rest is parsed."""


class Quota(Struct, frozen=True, kw_only=True):
    """What the files of one workspace may come to."""

    n_files: int
    n_bytes: int

    def check(self, totals: tuple[int, int], *, size_bytes: int) -> None:
        """Refuse one file more of that size beside ``totals``, files and bytes.

        Raises:
            QuotaExceeded: it would be too much.
        """
        n_files, n_bytes = totals
        if n_files >= self.n_files:
            raise QuotaExceeded("Upload file number exceed limit.")
        if n_bytes + size_bytes > self.n_bytes:
            raise QuotaExceeded("Upload file capacity exceed limit.")


class FileFilter(Struct, frozen=True, kw_only=True):
    """Which files a listing shows; bounds are exclusive."""

    purpose: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """The right to ingest one file until ``lease_until``; ``fence`` grows with each claim of the file."""

    file: File
    owner: str
    fence: int
    lease_until: datetime


class Outcome(Struct, frozen=True, kw_only=True):
    """The final state that an ingestion publishes."""

    status: FileStatus  # PROCESSED or ERROR
    status_details: str | None = None
    error_kind: DocumentErrorKind | None = None
    n_pages: int | None = None
    n_chars: int | None = None
    n_tokens: int | None = None


class Key(Struct, frozen=True, kw_only=True):
    """An API key as stored: never the key itself, only ``digest`` = HMAC-SHA256 with the server's pepper."""

    id: str
    workspace: str
    name: str
    display: str  # prefix and last four characters, for people
    digest: bytes
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    models: tuple[str, ...] = ()  # empty: every model

    def is_valid(self, now: datetime) -> bool:
        """Whether the key opens its workspace at a moment; at ``expires_at`` it no longer does."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


UsageOutcome = Literal["ok", "cancelled", "failed"]
UsageGroup = Literal["key", "model", "day", "workspace"]


class UsageRecord(Struct, frozen=True, kw_only=True):
    """What one request used, in tokens, as its client was told; its id is unique in its workspace."""

    request_id: str
    workspace: str
    key_id: str
    model: str  # as it was asked for
    model_served: str
    operation: Operation
    surface: SurfaceName
    is_streamed: bool = False
    n_input: int
    n_output: int = 0
    n_cached: int = 0  # of the input, by the engine
    n_read: int = 0  # of the documents, by the engine
    is_estimated: bool = False
    file_ids: tuple[str, ...] = ()
    outcome: UsageOutcome = "ok"
    code: str | None = None  # the class of the error that ended it
    first_token_ms: float | None = None
    total_ms: float = 0.0
    at: datetime  # when it ended


class UsageFilter(Struct, frozen=True, kw_only=True):
    """Which requests are summed."""

    workspace: str | None = None  # None: of all
    since: datetime | None = None
    until: datetime | None = None  # exclusive


class UsageSum(Struct, frozen=True, kw_only=True):
    """What the requests of one group used, in tokens; ``name`` is a key's id, a model, a workspace or a day."""

    name: str  # a day is one of UTC, as 2026-11-21
    n_requests: int
    n_input: int
    n_output: int
    n_cached: int
    n_read: int


class FileStore(Protocol):
    """The rows of files. They are also the queue of ingestion: a file is claimed, renewed and published by its row."""

    async def add(self, file: File, *, quota: Quota | None = None) -> File:
        """Insert a file as ``uploaded``; durable when it returns. Returns it with its ``sequence``.

        Files that are added at once do not exceed the quota together.

        Raises:
            QuotaExceeded: the workspace may not hold it.
            ValueError: the workspace has a file of that id.
        """

    async def get(self, workspace: str, file_id: str) -> File | None:
        """Return the file, or None when missing, foreign or being deleted."""

    async def get_many(self, workspace: str, file_ids: Sequence[str]) -> dict[str, File]:
        """Return by id those of the files that ``get`` would return, all of one moment, by one query."""

    async def page(
        self, workspace: str, *, which: FileFilter, after: str | None, limit: int, ascending: bool = False
    ) -> tuple[list[File], bool]:
        """List files by cursor, newest first unless ``ascending``; the bool says whether more follow.

        ``after`` is the id of the last file of the page before, which may have been removed since; an unknown one gives
        an empty page. Pages follow upload order: uploads that go on meanwhile neither repeat nor hide a file.
        """

    async def numbered_page(self, workspace: str, *, number: int, size: int) -> tuple[list[File], int]:
        """List files by page number from 1, newest first, with the total."""

    async def totals(self, workspace: str) -> tuple[int, int]:
        """Return the count and the bytes of the workspace's files, those being deleted left out."""

    async def workspaces(self) -> list[str]:
        """Return in order the workspaces that have files."""

    async def census(self, workspace: str | None) -> list[HeldFiles]:
        """Count files and bytes by state, of one workspace or of all; in no order. Looks at every row."""

    async def mark_deleting(self, workspace: str, file_id: str) -> bool:
        """Make a file invisible, durably; False when there is none. The first caller gets True.

        Who has a claim on it keeps the lease, so that ``is_claimed`` tells when they have let go; they find out when
        they ``renew`` or ``publish``.
        """

    async def remove(self, workspace: str, file_id: str) -> None:
        """Remove the row of a file marked as deleting; its blobs are gone by then."""

    async def being_deleted(self) -> list[File]:
        """Return what a crash left between ``mark_deleting`` and ``remove``, over all workspaces."""

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        """Take an ``uploaded`` file whose lease is free or past; None when there is none.

        The workspace with the fewest claimed files comes first, within it small files, then early ones. One of which
        the owner has ``share`` files under a lease is passed over.
        """

    async def renew(self, claim: Claim, *, now: datetime, lease_s: float, progress: Progress | None = None) -> bool:
        """Prolong a claim and say how far it is; False when it is lost (deleted, forfeited, or claimed by another).

        Without a ``progress`` the last one stays.
        """

    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        """Write the final state if the claim's fence still holds; durable when it returns True. Ends its progress."""

    async def release(self, claim: Claim) -> None:
        """Give a claim back untouched (its attempt does not count), as a draining process does; ends its progress.

        Also lets go of a file that is being deleted. Nothing happens when the claim is lost.
        """

    async def is_claimed(self, workspace: str, file_id: str, *, now: datetime) -> bool:
        """Whether somebody has a lease on a file, visible or being deleted."""

    async def owners(self) -> set[str]:
        """Return all who have a lease, past ones too."""

    async def forfeit(self, owners: Collection[str]) -> int:
        """End the leases of owners that are known to be dead; their attempts count. Returns how many there were."""

    async def requeue(self, workspace: str, file_id: str) -> bool:
        """Make a processed or failed file ``uploaded`` again, its attempts forgotten; False when there is none."""


class KeyStore(Protocol):
    """The rows of API keys and workspaces."""

    async def add_key(self, key: Key) -> None:
        """Insert a key, and its workspace where that is new; durable when it returns.

        Raises:
            ValueError: its digest or its id is there already.
        """

    async def find_key(self, digest: bytes) -> Key | None:
        """Return the key of that digest, revoked and expired ones too."""

    async def get_key(self, workspace: str | None, key_id: str) -> Key | None:
        """Return the key of that id in a workspace, or in any; revoked and expired ones too."""

    async def list_keys(self, workspace: str | None) -> list[Key]:
        """Return the keys of a workspace, or of all, oldest first."""

    async def revoke_key(self, key_id: str, *, now: datetime) -> bool:
        """Revoke a key; False when there is none of that id or it is revoked already."""

    async def replace_key(self, key_id: str, successor: Key, *, until: datetime, now: datetime) -> bool:
        """Let a key end at ``until``, or earlier as it was to, and insert its successor: both, durably, or neither.

        False, and nothing is done, when there is none of that id or it is revoked or expired.

        Raises:
            ValueError: the successor's digest or its id is there already.
        """


class UsageStore(Protocol):
    """The rows of usage: one for each request. They outlive the keys, files and models that they name."""

    async def add(self, record: UsageRecord) -> None:
        """Insert a row; when it returns it outlives the process, however that ends, and a second later a power cut.

        A later one of the same request takes its place.

        Raises:
            Overloaded, StorageFull: nothing was written.
        """

    async def latest(self, which: UsageFilter, *, limit: int) -> list[UsageRecord]:
        """Return the rows of the requests that ended last, the latest first."""

    async def sums(self, by: UsageGroup, which: UsageFilter) -> list[UsageSum]:
        """Add up the rows of each group, in the order of their names; about a second for a million rows."""

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Remove at most ``limit`` rows of requests that ended before a moment; returns how many were removed."""


class BlobStore(Protocol):
    """Bytes by name under ``w/<workspace>/f/<file id>/``; a name is whole or absent, whatever dies."""

    def staging_path(self) -> Path:
        """Return a fresh path on local disk to write into before ``adopt``; what is never adopted is swept."""

    async def sweep_staging(self) -> None:
        """Remove what dead processes left staged; what living ones stage stays."""

    async def adopt(self, staged: Path, name: str) -> None:
        """Make a staged file the blob ``name``, durably (fsync of file and folder); the staged path is gone then.

        A name that exists is replaced whole, as a retried ingestion does; who has the old blob open keeps it.

        Raises:
            StorageFull: no space is left.
        """

    async def local_path(self, name: str) -> Path | None:
        """Return a path from which the blob can be opened or mapped, or None when there is no such blob."""

    async def local_paths(self, names: Sequence[str]) -> list[Path | None]:
        """Return what ``local_path`` would of each, all at once."""

    async def read(self, name: str, *, block_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
        """Stream a blob: ``async for block in await blobs.read(name)``. A stream that has begun ends whole.

        Raises:
            FileNotFoundError: there is no such blob.
        """

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob under a prefix that lies within one file, durably; nothing there is no error."""

    async def list_names(self, prefix: str) -> Sequence[str]:
        """Return in order the names under the prefix of a file, a workspace (``w/<workspace>/``) or all (``w/``)."""


class Presence(Protocol):
    """Tells the living processes of a store from the dead, sooner than a lease ends where that can be known.

    A process is present from ``start`` until it stops or dies, under a name that no other process ever has.
    """

    owner: str  # this process

    async def dead(self, owners: Collection[str]) -> set[str]:
        """Return those of the owners that are known to be dead; one that cannot be told is not among them."""


def blob_prefix(workspace: str, file_id: str) -> str:
    """Return the prefix that everything of one file lives under; the only place that spells it."""
    return f"w/{workspace}/f/{file_id}/"


def preview_name(readable: Readable) -> str:
    """Return the name, under a file's prefix, of one beginning; a longer one never takes its place."""
    return f"{PREVIEW_FOLDER}{readable.n_done}"


def is_preview(name: str) -> bool:
    """Whether a name, under a file's prefix, is that of a beginning."""
    return name.startswith(PREVIEW_FOLDER)
