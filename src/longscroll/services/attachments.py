"""The files that a conversation names: find them, wait for those that are being parsed, say where each can be read.

Owns which state of a file a chat accepts and the documented refusal of every other (PROTOCOL.md §6.3, §6.4). Opens no
artifact and knows nothing of the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from msgspec import Struct

from longscroll.documents.ingest import Failed, Ingest, Ready
from longscroll.errors import FileGone, FileNotParsed, FileUnreadable, InvalidFile
from longscroll.storage.base import ARTIFACT, BlobStore, FileStore, blob_prefix, preview_name
from longscroll.types import File, FileStatus, Progress


class Attachment(Struct, frozen=True, kw_only=True):
    """A file that can be read now."""

    file: File
    artifact: Path
    n_tokens: int
    parsed: Progress | None = None  # only its beginning can be read


class Found(Struct, frozen=True):
    """The files of a conversation by id, at one moment: what can be read, and what must be waited for."""

    attachments: dict[str, Attachment]
    pending: Sequence[File]


class Attachments:
    """Finds files for chats; ``wants_partial``: the beginning of a file will do while the rest is being parsed."""

    def __init__(self, files: FileStore, blobs: BlobStore, ingest: Ingest) -> None:
        self._files = files
        self._blobs = blobs
        self._ingest = ingest

    async def find(self, workspace: str, file_ids: Sequence[str], *, wants_partial: bool) -> Found:
        """Look up the files of a conversation.

        Raises:
            InvalidFile: there is none of that id, or it is another workspace's.
            FileUnreadable: its parse ended in an error.
            FileGone: it is being deleted in this moment.
        """
        if not file_ids:
            return Found({}, [])
        files = await self._files.get_many(workspace, file_ids)
        for file_id in file_ids:
            if file_id not in files or not files[file_id].is_document:
                raise InvalidFile(file_id)
            kind = files[file_id].error_kind
            if kind is not None:
                raise FileUnreadable(file_id, kind)
        begun = {file.id: self._begun(file) if wants_partial else None for file in files.values()}
        pending = [file for file in files.values() if file.status != FileStatus.PROCESSED and begun[file.id] is None]
        if pending:
            return Found({}, pending)
        return Found(await self._attach(list(files.values()), begun), [])

    async def wait(
        self, pending: Sequence[File], *, wants_partial: bool, deadline: float
    ) -> AsyncGenerator[Progress, None]:
        """Yield progress until every file can be read, or its parse is over.

        Raises:
            FileNotParsed: the loop's clock reached ``deadline`` first.
            FileGone: a file was deleted meanwhile. FileUnreadable: its parse ended in an error.
        """
        for file in pending:
            async with aclosing(self._wait_for(file, wants_partial=wants_partial, deadline=deadline)) as waiting:
                async for progress in waiting:
                    yield progress

    def _begun(self, file: File) -> Progress | None:
        """Return how far the parse of a file is, in whichever process, where its beginning can be read."""
        if file.status == FileStatus.PROCESSED:
            return None
        progress = self._ingest.progress(file.workspace, file.id) or file.progress
        return progress if progress is not None and progress.readable is not None else None

    async def _wait_for(self, file: File, *, wants_partial: bool, deadline: float) -> AsyncGenerator[Progress, None]:
        async with aclosing(self._ingest.watch(file.workspace, file.id)) as watching:
            event = await anext(watching)  # what is known already takes no waiting
            while not isinstance(event, Ready):
                if isinstance(event, Failed):
                    raise FileGone(file.id) if event.kind is None else FileUnreadable(file.id, event.kind)
                yield event
                if wants_partial and event.readable is not None:
                    return
                try:
                    async with asyncio.timeout_at(deadline):
                        event = await anext(watching)
                except TimeoutError:
                    raise FileNotParsed(file.id) from None

    async def _attach(self, files: Sequence[File], begun: Mapping[str, Progress | None]) -> dict[str, Attachment]:
        paths = await self._blobs.local_paths([_name_of(file, begun[file.id]) for file in files])
        return {file.id: _attachment(file, path, begun[file.id]) for file, path in zip(files, paths, strict=True)}


def _name_of(file: File, begun: Progress | None) -> str:
    readable = begun.readable if begun else None
    return blob_prefix(file.workspace, file.id) + (preview_name(readable) if readable else ARTIFACT)


def _attachment(file: File, path: Path | None, begun: Progress | None) -> Attachment:
    if path is None:
        raise FileGone(file.id)
    readable = begun.readable if begun else None
    n_tokens = readable.n_tokens if readable else file.n_tokens or 0
    return Attachment(file=file, artifact=path, n_tokens=n_tokens, parsed=begun)
