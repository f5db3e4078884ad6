"""The files of the OpenAI-compatible surface: upload, list, retrieve, delete, text (PROTOCOL.md §5.1)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from longscroll.errors import InvalidParameter, UnsupportedOperation
from longscroll.protocols.dates import parse_date, zone
from longscroll.protocols.exchange import Answer, Pieces, Reply, Request, json_reply
from longscroll.protocols.extensions import render_progress
from longscroll.protocols.multipart import FormFile, FormReader
from longscroll.protocols.openai.schema import FileDeleted, FileList, FileObject
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import integer
from longscroll.protocols.told import choice, header, number, text
from longscroll.protocols.uploads import check_purpose, receive
from longscroll.services.files import FileService, Upload
from longscroll.storage.base import FileFilter
from longscroll.types import File

MAX_PAGE = 2000
MAX_NAME_CHARS = 255  # of an Idempotency-Key

UPLOAD_PARAMETERS = (header("Idempotency-Key", "The same upload under the same key makes one file, for a day."),)
LIST_PARAMETERS = (
    number("limit", "How many at most.", default=MAX_PAGE, low=1, high=MAX_PAGE),
    text("after", "The last id of the page before."),
    choice("order", "By age: newest first, or oldest first.", among=("desc", "asc")),
    text("purpose", "Only files of this purpose."),
    text("create_after", "Only files that came later: 20250306123000, 20250306, 2025-03-06 or 2025-03-06 12:30:00."),
    text("create_before", "Only files that came earlier; as create_after."),
)


class UploadForm(Struct, kw_only=True):
    """The parts of an upload, in any order."""

    file: FormFile
    purpose: Literal["file-extract", "batch", "user_data", "assistants"]


class Files:
    """The handlers of the compat surface's file endpoints."""

    def __init__(self, files: FileService, options: ProtocolOptions) -> None:
        self._files = files
        self._zone = zone(options.utc_offset_hours)
        self._has_content = options.content_of_files

    async def upload(self, request: Request) -> Reply:
        """Store the form's one file; parts may come in any order.

        Raises:
            InvalidParameter: no file, more than one, or a purpose that is not served.
            UploadTooLarge: counted on the bytes that came.
        """
        workspace = request.principal.workspace
        upload: Upload | None = None
        filename = purpose = None
        try:
            async for part in FormReader(request).parts():
                if part.name == "file" and part.filename is not None:
                    if upload is not None:
                        raise InvalidParameter("Exactly one file is expected.", param="file")
                    upload, filename = await self._files.begin(workspace, purpose=purpose), part.filename
                    await receive(part, upload)
                elif part.name == "purpose":
                    purpose = await part.text()
                    check_purpose(purpose)
            if upload is None or filename is None:
                raise InvalidParameter("The form field 'file' is required.", param="file")
            check_purpose(purpose or "")
            file = await self._commit(upload, request, filename=filename, purpose=purpose or "")
        finally:
            if upload is not None:
                await upload.discard()
        return json_reply(self._render(file))

    async def retrieve(self, request: Request) -> Reply:
        """Return one file."""
        file = await self._files.get(request.principal.workspace, request.arguments["id"])
        return json_reply(self._render(file))

    async def list(self, request: Request) -> Reply:
        """Return a page of files, newest first unless ``order=asc``."""
        query = request.query
        which = FileFilter(
            purpose=query.get("purpose") or None,
            created_after=parse_date(query.get("create_after"), "create_after", where=self._zone),
            created_before=parse_date(query.get("create_before"), "create_before", where=self._zone),
        )
        files, has_more = await self._files.page(
            request.principal.workspace,
            which=which,
            after=query.get("after") or None,
            limit=integer(query, "limit", MAX_PAGE, low=1, high=MAX_PAGE),
            ascending=query.get("order") == "asc",
        )
        return json_reply(FileList(data=tuple(self._render(file) for file in files), has_more=has_more))

    async def delete(self, request: Request) -> Reply:
        """Delete a file."""
        file_id = request.arguments["id"]
        await self._files.delete(request.principal.workspace, file_id)
        return json_reply(FileDeleted(id=file_id))

    async def content(self, request: Request) -> Answer:
        """Return the text of a file, which citations point into, or the lines of a batch as they are.

        Raises:
            UnsupportedOperation: the operator wants the hosted service's refusal.
        """
        workspace, file_id = request.principal.workspace, request.arguments["id"]
        file = await self._files.get(workspace, file_id)
        if not file.is_document:
            return Pieces(pieces=await self._files.lines(workspace, file_id), content_type="application/jsonl")
        if not self._has_content:
            raise UnsupportedOperation("The text of this file cannot be downloaded.")
        pieces = await self._files.content(workspace, file_id)
        return Pieces(pieces=pieces, content_type="text/plain; charset=utf-8")

    async def _commit(self, upload: Upload, request: Request, *, filename: str, purpose: str) -> File:
        """Commit an upload, or find what it was made when the client sent it before."""
        name = (request.header(b"idempotency-key") or "").strip()
        if not name:
            return await upload.commit(filename=filename, purpose=purpose)
        if len(name) > MAX_NAME_CHARS:
            raise InvalidParameter(f"Idempotency-Key has at most {MAX_NAME_CHARS} characters.")
        return await self._files.commit_once(upload, name, filename=filename, purpose=purpose)

    def _render(self, file: File) -> FileObject:
        return FileObject(
            id=file.id,
            bytes=file.size_bytes,
            created_at=int(file.created_at.timestamp()),
            filename=file.filename,
            purpose=file.purpose,
            status=str(file.status),
            status_details=file.status_details,
            longscroll=render_progress(self._files.progress(file)),
        )
