"""Files as clients see them: upload, get, list, delete, read back.

The only place that orders quota → store → enqueue. Knows no wire format and no parser.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from longscroll.documents.artifact import Artifact
from longscroll.documents.ingest import Ingest
from longscroll.errors import (
    FileNotFound,
    FileNotParsed,
    FileUnreadable,
    InvalidParameter,
    Overloaded,
    QuotaExceeded,
    StorageFull,
    UploadTooLarge,
)
from longscroll.services.deletion import Deletions
from longscroll.services.in_use import FilesInUse
from longscroll.services.repeats import Repeats
from longscroll.storage.base import ARTIFACT, BYTES, BlobStore, FileFilter, FileStore, Quota, blob_prefix
from longscroll.storage.space import needing_space
from longscroll.tasks import to_the_end
from longscroll.telemetry import Moment, reached
from longscroll.types import BATCH, BATCH_OUTPUT, File, FileStatus, Progress

NOT_THE_SAME = "Idempotency-Key was given to another upload within a day; give each upload a key of its own."

_BLOCK_BYTES = 1 << 20
_ID_PREFIXES = {BATCH: "file-batch-", BATCH_OUTPUT: "file-batch_output-"}


class FileOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[files]`` section: what one workspace may hold."""

    max_files: int = 10_000
    max_bytes: int = 107_374_182_400
    max_file_bytes: int = 157_286_400
    max_batch_bytes: int = 524_288_000  # of a file with the questions of a batch

    def max_bytes_of(self, purpose: str | None) -> int | None:
        """Return how long a file may be; ``purpose`` None: not known yet. None: as long as it gets."""
        if purpose == BATCH_OUTPUT:
            return None
        if purpose is None:
            return max(self.max_file_bytes, self.max_batch_bytes)
        return self.max_batch_bytes if purpose == BATCH else self.max_file_bytes


class Upload:
    """One upload under way: bytes go to a staged file and a running SHA-256, in a thread, a block at a time."""

    def __init__(self, service: FileService, workspace: str, *, purpose: str | None, with_md5: bool) -> None:
        self._service = service
        self._purpose = purpose
        self.workspace = workspace
        self._path = service.blobs.staging_path()
        self._file = self._path.open("wb", buffering=0)
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self._pending: list[bytes] = []
        self._n_pending_bytes = 0
        self.size_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            UploadTooLarge: more bytes came than a file may have.
            StorageFull: no space is left.
        """
        self.size_bytes += len(data)
        self._check_size(self._purpose)
        self._pending.append(data)
        self._n_pending_bytes += len(data)
        if self._n_pending_bytes >= _BLOCK_BYTES:
            await self._flush()

    async def commit(self, *, filename: str, purpose: str, description: str = "", file_id: str | None = None) -> File:
        """Make the upload a file of the workspace; bytes and row are durable when it returns.

        Raises:
            UploadTooLarge: it is longer than a file of the purpose may be.
            QuotaExceeded: the workspace may not hold it.
            StorageFull: no space is left.
        """
        self._check_size(purpose)
        await self._flush()
        self._file.close()
        reached(Moment.UPLOAD_STAGED)
        file = File(
            workspace=self.workspace,
            id=file_id or _ID_PREFIXES.get(purpose, "file-fe-") + secrets.token_hex(12),
            filename=filename,
            purpose=purpose,
            description=description,
            size_bytes=self.size_bytes,
            sha256=self._sha256.hexdigest(),
            md5=base64.b64encode(self._md5.digest()).decode() if self._md5 else "",
            created_at=self._service.now(),
        )
        status = file.status if file.is_document else FileStatus.PROCESSED
        return await self._service.store(self._path, replace(file, status=status))

    async def sha256(self) -> str:
        """Return the checksum of what came."""
        await self._flush()
        return self._sha256.hexdigest()

    async def discard(self) -> None:
        """Forget the upload; nothing of it stays. Harmless after ``commit``."""
        self._file.close()
        await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _check_size(self, purpose: str | None) -> None:
        limit = self._service.options.max_bytes_of(purpose)
        if limit is not None and self.size_bytes > limit:
            raise UploadTooLarge("Payload Too Large.")

    async def _flush(self) -> None:
        if self._pending:
            block, self._pending, self._n_pending_bytes = b"".join(self._pending), [], 0
            await asyncio.get_running_loop().run_in_executor(self._service.threads, self._append, block)

    def _append(self, block: bytes) -> None:
        self._sha256.update(block)
        if self._md5:
            self._md5.update(block)
        view = memoryview(block)
        with needing_space("store the file"):
            while view:
                view = view[self._file.write(view) :]


class FileService:
    """The use cases of files, for every surface and for the commands."""

    def __init__(
        self,
        files: FileStore,
        blobs: BlobStore,
        ingest: Ingest,
        options: FileOptions,
        *,
        now: Callable[[], datetime],
        in_use: FilesInUse,
    ) -> None:
        """Wire the rooms that a file crosses; ``in_use`` is shared with who reads files."""
        self.files = files
        self.blobs = blobs
        self.options = options
        self._quota = Quota(n_files=options.max_files, n_bytes=options.max_bytes)
        self.now = now
        self.threads = ThreadPoolExecutor(4, thread_name_prefix="upload")
        self._repeats = Repeats(now=now)
        self._ingest = ingest
        self._deletions = Deletions(files, blobs, ingest, in_use)

    async def begin(self, workspace: str, *, purpose: str | None = None, with_md5: bool = False) -> Upload:
        """Begin an upload, whose ``purpose`` may not be known yet.

        Raises:
            QuotaExceeded: the workspace is full already.
        """
        if purpose != BATCH_OUTPUT:
            await self._check_quota(workspace, size_bytes=0)
        return Upload(self, workspace, purpose=purpose, with_md5=with_md5)

    async def store(self, staged: Path, file: File) -> File:
        """Keep a staged upload as ``file`` and queue it for ingestion; called by ``Upload.commit``.

        What a batch has answered is kept even where the workspace is full.
        """
        if file.purpose == BATCH_OUTPUT:
            return await to_the_end(self._store(staged, file, quota=None))
        await self._check_quota(file.workspace, size_bytes=file.size_bytes)
        return await to_the_end(self._store(staged, file, quota=self._quota))

    async def commit_once(self, upload: Upload, name: str, *, filename: str, purpose: str) -> File:
        """Commit an upload that its client calls ``name``, or return the file that it was made before.

        Raises:
            InvalidParameter: another upload was called so within a day.
            UploadTooLarge, QuotaExceeded, StorageFull: as ``Upload.commit``.
        """
        async with self._repeats.turn(upload.workspace, name) as named:
            made = await self.files.get(upload.workspace, named.file_id) if named.file_id else None
            if made is None:
                made = await upload.commit(filename=filename, purpose=purpose)
                named.file_id = made.id
            elif (made.sha256, made.filename, made.purpose) != (await upload.sha256(), filename, purpose):
                raise InvalidParameter(NOT_THE_SAME)
            return made

    async def get(self, workspace: str, file_id: str) -> File:
        """Return a file of the workspace.

        Raises:
            FileNotFound: there is none of that id, or it is another workspace's.
        """
        file = await self.files.get(workspace, file_id)
        if file is None:
            raise FileNotFound(file_id)
        return file

    async def page(
        self, workspace: str, *, which: FileFilter, after: str | None, limit: int, ascending: bool = False
    ) -> tuple[list[File], bool]:
        """List files by cursor; see ``FileStore.page``."""
        return await self.files.page(workspace, which=which, after=after, limit=limit, ascending=ascending)

    async def numbered_page(self, workspace: str, *, number: int, size: int) -> tuple[list[File], int]:
        """List files by page number; see ``FileStore.numbered_page``."""
        return await self.files.numbered_page(workspace, number=number, size=size)

    async def delete(self, workspace: str, file_id: str) -> None:
        """Delete a file: invisible at once, its bytes and all that was made of them gone when it returns.

        Chats that have found it get to read it first, for a moment. Goes on to its end when it is canceled.

        Raises:
            FileNotFound: there is none of that id, or it is another workspace's.
            StorageFull, Overloaded: it is invisible, but not all of it is gone yet; that is tried again until it is.
        """
        await to_the_end(self._deletions.delete(workspace, file_id))

    async def lines(self, workspace: str, file_id: str) -> AsyncGenerator[bytes, None]:
        """Stream the bytes of a file that is no document.

        Raises:
            FileNotFound: there is none of that id, or it is another workspace's.
        """
        await self.get(workspace, file_id)
        try:
            return _relay(await self.blobs.read(blob_prefix(workspace, file_id) + BYTES))
        except FileNotFoundError as error:  # deleted in this moment
            raise FileNotFound(file_id) from error

    async def content(self, workspace: str, file_id: str) -> AsyncGenerator[bytes, None]:
        """Stream the text of a processed file, UTF-8.

        Raises:
            FileNotFound: there is none of that id, or it is another workspace's.
            FileNotParsed: the text is not there yet.
            FileUnreadable: parsing ended in an error.
        """
        file = await self.get(workspace, file_id)
        if file.error_kind is not None:
            raise FileUnreadable(file_id, file.error_kind)
        if file.status != FileStatus.PROCESSED:
            raise FileNotParsed(file_id)
        path = await self.blobs.local_path(blob_prefix(workspace, file_id) + ARTIFACT)
        if path is None:
            raise FileNotFound(file_id)
        try:
            artifact = await asyncio.to_thread(Artifact.open, path)
        except FileNotFoundError as error:  # deleted in this moment
            raise FileNotFound(file_id) from error
        return _stream_text(artifact)

    def progress(self, file: File) -> Progress | None:
        """Return how far the parse of a file is, whichever process is at it; None when it is over or not begun."""
        if file.status != FileStatus.UPLOADED:
            return None
        return self._ingest.progress(file.workspace, file.id) or file.progress

    async def recover(self) -> None:
        """Finish what a crash left, before the first request; see ``Deletions.recover``."""
        await self._deletions.recover()

    def close(self) -> None:
        """Stop the upload threads; what could not be deleted yet is left to the next start."""
        self._deletions.stop()
        self.threads.shutdown()

    async def _store(self, staged: Path, file: File, *, quota: Quota | None) -> File:
        prefix = blob_prefix(file.workspace, file.id)
        await self.blobs.adopt(staged, prefix + BYTES)
        reached(Moment.UPLOAD_ADOPTED)
        try:
            stored = await self.files.add(file, quota=quota)
        except (QuotaExceeded, StorageFull, Overloaded):  # bytes without a row are nobody's
            await self.blobs.delete_prefix(prefix)
            raise
        self._ingest.notify()
        return stored

    async def _check_quota(self, workspace: str, *, size_bytes: int) -> None:
        self._quota.check(await self.files.totals(workspace), size_bytes=size_bytes)


async def _relay(blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for block in blocks:
        yield block


async def _stream_text(artifact: Artifact) -> AsyncGenerator[bytes, None]:
    try:
        for block in artifact.iter_text(_BLOCK_BYTES):
            yield bytes(block)
    finally:
        artifact.close()
