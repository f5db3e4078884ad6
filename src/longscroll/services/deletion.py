"""How files go: invisible at once, then every byte of them, whatever stands in the way.

Owns the order mark → let go → blobs → row, and who goes on when that is broken off: the caller, a retry, or the next
start. Knows no quota and no upload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice

from longscroll.documents.ingest import Ingest
from longscroll.errors import FileNotFound, Overloaded, StorageFull
from longscroll.services.in_use import FilesInUse
from longscroll.storage.base import PREVIEW_FOLDER, BlobStore, FileStore, blob_prefix, is_preview
from longscroll.telemetry import Moment, reached
from longscroll.types import FileStatus

LET_GO_S = 2.0
"""How long a deletion waits for chats that have found the file and not read it yet."""

RETRY_PAUSE_S = 1.0  # before a deletion that met a failing store is tried again; doubles
MAX_RETRY_PAUSE_S = 30.0
_ROWS_AT_ONCE = 1000


class Deletions:
    """The deletions of one process; of the processes on a store, one that serves requests has them."""

    def __init__(self, files: FileStore, blobs: BlobStore, ingest: Ingest, in_use: FilesInUse) -> None:
        self._files = files
        self._blobs = blobs
        self._ingest = ingest
        self._in_use = in_use
        self._retrying: asyncio.Task[None] | None = None

    async def delete(self, workspace: str, file_id: str) -> None:
        """Delete a file.

        Raises:
            FileNotFound: there is none of that id, or it is another workspace's.
            StorageFull, Overloaded: it is invisible, but not all of it is gone; that is tried again until it is.
        """
        if not await self._files.mark_deleting(workspace, file_id):
            raise FileNotFound(file_id)
        reached(Moment.DELETE_MARKED)
        try:
            await self._erase(workspace, file_id)
        except (StorageFull, Overloaded):
            if self._retrying is None or self._retrying.done():
                self._retrying = asyncio.create_task(self._retry())
            raise

    async def recover(self) -> None:
        """Finish what a crash left: deletions that were begun, uploads without a row, previews that were not removed.

        Called before the first request. Bytes without a row are nobody's then: rows are added, and uploads adopted, by
        the process that serves requests, of which a store has one at a time; a worker adds blobs to files that have a
        row, and the row of a file outlives the last of them because a deletion waits until it is let go.
        """
        await self._erase_marked()
        stored: dict[str, dict[str, list[str]]] = {}
        for name in await self._blobs.list_names("w/"):
            _, workspace, _, file_id, blob = name.split("/", 4)
            stored.setdefault(workspace, {}).setdefault(file_id, []).append(blob)
        for workspace, blobs in stored.items():
            names = iter(blobs.items())
            while some := dict(islice(names, _ROWS_AT_ONCE)):
                await self._drop_remains(workspace, some)

    def stop(self) -> None:
        """Try no more; the next start goes on."""
        if self._retrying is not None:
            self._retrying.cancel()

    async def _retry(self) -> None:
        pause_s = RETRY_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_RETRY_PAUSE_S)
            with suppress(StorageFull, Overloaded):
                return await self._erase_marked()

    async def _erase_marked(self) -> None:
        marked = await self._files.being_deleted()
        await asyncio.gather(*(self._erase(file.workspace, file.id) for file in marked))

    async def _erase(self, workspace: str, file_id: str) -> None:
        """Remove what is left of a file marked as deleting, once nobody parses it or is about to read it."""
        await self._ingest.cancel(workspace, file_id)
        reached(Moment.DELETE_LET_GO)
        await self._in_use.wait_until_free(workspace, file_id, timeout_s=LET_GO_S)
        await self._blobs.delete_prefix(blob_prefix(workspace, file_id))
        reached(Moment.BLOBS_DELETED)
        await self._files.remove(workspace, file_id)
        reached(Moment.ROW_REMOVED)

    async def _drop_remains(self, workspace: str, blobs: Mapping[str, Sequence[str]]) -> None:
        """Remove what has no row, and previews of files that are parsed."""
        files = await self._files.get_many(workspace, list(blobs))
        for file_id, names in blobs.items():
            prefix = blob_prefix(workspace, file_id)
            if file_id not in files:
                await self._blobs.delete_prefix(prefix)
            elif files[file_id].status != FileStatus.UPLOADED and any(map(is_preview, names)):
                await self._blobs.delete_prefix(prefix + PREVIEW_FOLDER)
