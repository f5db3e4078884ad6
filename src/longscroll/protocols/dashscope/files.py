"""The files of the native surface: upload of several, numbered listing, get, delete (PROTOCOL.md §5.2)."""

from __future__ import annotations

from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.errors import InvalidParameter, QuotaExceeded, UploadTooLarge
from longscroll.protocols.dashscope.errors import message_of, row_of
from longscroll.protocols.dashscope.schema import (
    EmptyReply,
    FailedUpload,
    FileListReply,
    FilePage,
    FileReply,
    NativeFile,
    UploadData,
    UploadedFile,
    UploadReply,
)
from longscroll.protocols.dates import zone
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.extensions import render_progress
from longscroll.protocols.multipart import FormFile, FormReader, Part
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import integer
from longscroll.protocols.told import pages
from longscroll.protocols.uploads import DEFAULT_PURPOSE, PURPOSES, check_purpose, receive
from longscroll.services.files import FileService, Upload
from longscroll.types import File

MAX_FILES = 100
MAX_PAGE = 1000

LIST_PARAMETERS = pages(MAX_PAGE)


class UploadForm(Struct, kw_only=True):
    """The parts of an upload, in any order; the n-th description belongs to the n-th file."""

    files: list[FormFile]
    descriptions: list[str] = []
    purpose: list[str] = []


class _Received(Struct):
    """One file part of a form: its bytes in an upload, or why they are not."""

    filename: str
    upload: Upload | None = None
    error: Exception | None = None


class _Form(Struct):
    """What a form held so far; the n-th description and purpose belong to the n-th file, in any order of parts."""

    files: list[_Received]
    descriptions: list[str]
    purposes: list[str]


class Files:
    """The handlers of the native surface's file endpoints."""

    def __init__(self, files: FileService, options: ProtocolOptions) -> None:
        self._files = files
        self._zone = zone(options.utc_offset_hours)

    async def upload(self, request: Request) -> Reply:
        """Store the files of a form; one that is refused does not stop the others.

        Raises:
            InvalidParameter: no file at all, or too many.
        """
        form = _Form([], [], [])
        try:
            async for part in FormReader(request).parts():
                await self._take(part, form, request.principal.workspace)
            if not form.files:
                raise InvalidParameter("The form field 'files' is required.", param="files")
            stored = [await self._commit(form, position) for position in range(len(form.files))]
        finally:
            for received in form.files:
                if received.upload is not None:
                    await received.upload.discard()
        data = UploadData(
            uploaded_files=tuple(file for file in stored if isinstance(file, UploadedFile)),
            failed_uploads=tuple(file for file in stored if isinstance(file, FailedUpload)),
        )
        return json_reply(UploadReply(data=data, request_id=request.id))

    async def list(self, request: Request) -> Reply:
        """Return a numbered page of files, newest first."""
        number = integer(request.query, "page_no", 1, low=1, high=10**9)
        size = integer(request.query, "page_size", 10, low=1, high=MAX_PAGE)
        files, total = await self._files.numbered_page(request.principal.workspace, number=number, size=size)
        rendered = tuple(self._render(file, request.principal) for file in files)
        page = FilePage(total=total, files=rendered, page_size=size, page_no=number)
        return json_reply(FileListReply(data=page, request_id=request.id))

    async def get(self, request: Request) -> Reply:
        """Return one file."""
        file = await self._files.get(request.principal.workspace, request.arguments["id"])
        return json_reply(FileReply(data=self._render(file, request.principal), request_id=request.id))

    async def delete(self, request: Request) -> Reply:
        """Delete a file."""
        await self._files.delete(request.principal.workspace, request.arguments["id"])
        return json_reply(EmptyReply(request_id=request.id))

    async def _take(self, part: Part, form: _Form, workspace: str) -> None:
        if part.filename is not None and part.name in ("files", "file"):
            if len(form.files) == MAX_FILES:
                raise InvalidParameter(f"At most {MAX_FILES} files can be uploaded at once.", param="files")
            received = _Received(part.filename)
            form.files.append(received)
            try:
                purpose = _nth(form.purposes, len(form.files) - 1, DEFAULT_PURPOSE)
                purpose = purpose if purpose in PURPOSES else DEFAULT_PURPOSE  # refused when the form is whole
                received.upload = await self._files.begin(workspace, purpose=purpose, with_md5=True)
                await receive(part, received.upload)
            except (UploadTooLarge, QuotaExceeded) as error:
                received.error = error
        elif part.name == "descriptions":
            form.descriptions.append(await part.text())
        elif part.name == "purpose":
            form.purposes.append(await part.text())

    async def _commit(self, form: _Form, position: int) -> UploadedFile | FailedUpload:
        received = form.files[position]
        purpose = _nth(form.purposes, position, DEFAULT_PURPOSE)
        try:
            check_purpose(purpose)
            if received.error is not None:
                raise received.error
            assert received.upload is not None
            file = await received.upload.commit(
                filename=received.filename, purpose=purpose, description=_nth(form.descriptions, position, "")
            )
        except (InvalidParameter, UploadTooLarge, QuotaExceeded) as error:
            return FailedUpload(name=received.filename, code=row_of(error).code, message=message_of(error))
        return UploadedFile(name=file.filename, file_id=file.id)

    def _render(self, file: File, principal: Principal) -> NativeFile:
        return NativeFile(
            id=file.sequence,
            name=file.filename,
            description=file.description,
            purpose=file.purpose,
            size=file.size_bytes,
            md5=file.md5,
            file_id=file.id,
            user_id=principal.workspace,
            api_key_id=principal.key_id,
            gmt_create=file.created_at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S"),
            status=str(file.status),
            status_details=file.status_details,
            longscroll=render_progress(self._files.progress(file)),
        )


def _nth(values: list[str], position: int, default: str) -> str:
    return values[position] if position < len(values) else default
