"""Multipart forms as they arrive: a part at a time, a piece at a time, nothing kept.

Owns the caps on what a form may make us hold and the many ways in which clients write a file name. Knows no field's
meaning and no size of files: who takes a part's pieces counts them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote_to_bytes

from msgspec import Meta
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from longscroll.errors import InvalidBody, UploadAborted
from longscroll.protocols.encoding import INVALID_BODY, replace_surrogates
from longscroll.protocols.exchange import Request

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 1000
MAX_HEADERS = 16
MAX_HEADER_BYTES = 8 << 10
MAX_FIELD_BYTES = 1 << 20
NAMELESS = "file"  # what a file is called whose client gave no name

_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))', re.ASCII)
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Controls, and overrides of the writing direction: they forge lines of a log and endings of a name."""

_FORM_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""What browsers and httpx write for the three characters that may not stand in a quoted name; no other is decoded."""

FormFile = Annotated[str, Meta(extra_json_schema={"format": "binary"})]
"""The type of a part with a file, in descriptions of forms."""


class Part:
    """One part of a form. ``filename`` is None for a plain field; its pieces can be taken once, in its turn."""

    def __init__(self, reader: FormReader, headers: dict[str, str]) -> None:
        disposition = headers.get("content-disposition", "")
        self.name = _parameter(disposition, "name") or ""
        self.filename = _filename(disposition)
        self._reader = reader

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the part's bytes as they come."""
        while (piece := await self._reader.next_data()) is not None:
            yield piece

    async def text(self) -> str:
        """Return the value of a plain field.

        Raises:
            InvalidBody: it is longer than a field may be.
        """
        data = bytearray()
        async for piece in self.pieces():
            data += piece
            if len(data) > MAX_FIELD_BYTES:
                raise InvalidBody(f"The form field {self.name!r} is longer than {MAX_FIELD_BYTES} bytes.")
        return data.decode("utf-8", "replace")


class FormReader:
    """Reads the form of one request; parts come in the order of the wire, what is not taken of one is dropped."""

    def __init__(self, request: Request) -> None:
        """Prepare to read ``request``.

        Raises:
            InvalidBody: its content type is not a multipart form with a boundary.
        """
        content_type = request.header(b"content-type") or ""
        boundary = _parameter(content_type, "boundary")
        if not content_type.lower().startswith("multipart/form-data") or not boundary:
            raise InvalidBody("The body must be multipart/form-data with a boundary.")
        self._request = request
        self._events: deque[Part | bytes] = deque()
        self._headers: dict[str, str] = {}
        self._field = bytearray()
        self._value = bytearray()
        self._n_parts = 0
        self._is_ended = False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(
                boundary.encode("latin-1", "replace"),
                callbacks,
                max_header_count=MAX_HEADERS,
                max_header_size=MAX_HEADER_BYTES,
            )
        except FormParserError as error:
            raise InvalidBody(INVALID_BODY) from error

    async def parts(self) -> AsyncIterator[Part]:
        """Yield each part once its headers are there; reads the request to its end.

        Raises:
            InvalidBody: the form is malformed or over a cap.
            UploadAborted: it broke off.
        """
        while await self._fill():
            event = self._events.popleft()
            if isinstance(event, Part):
                yield event
        if not self._is_ended:
            raise UploadAborted("The form broke off before its last boundary.")

    async def next_data(self) -> bytes | None:
        """Return the next bytes of the part that is being read, or None at its end."""
        if not await self._fill() or isinstance(self._events[0], Part):
            return None
        data = self._events.popleft()
        assert isinstance(data, bytes)
        return data

    async def _fill(self) -> bool:
        """Parse until an event is there; False at the end of the request."""
        while not self._events:
            piece = await self._request.next_piece()
            if piece is None:
                return False
            if self._is_ended:
                continue  # the epilogue
            try:
                self._parser.write(piece)
            except FormParserError as error:
                raise InvalidBody(INVALID_BODY) from error
        return True

    def _on_part_begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > MAX_PARTS:
            raise InvalidBody(f"A form may have {MAX_PARTS} parts at most.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, stop: int) -> None:
        self._field += data[start:stop]

    def _on_header_value(self, data: bytes, start: int, stop: int) -> None:
        self._value += data[start:stop]

    def _on_header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = _decode(bytes(self._value))
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._events.append(Part(self, self._headers))

    def _on_part_data(self, data: bytes, start: int, stop: int) -> None:
        self._events.append(data[start:stop])

    def _on_end(self) -> None:
        self._is_ended = True


def _decode(header: bytes) -> str:
    try:
        return header.decode("utf-8")
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _parameter(header: str, name: str) -> str | None:
    for match in _PARAMETER.finditer(header):
        if match[1].lower() == name:
            return re.sub(r'\\(["\\])', r"\1", match[2]) if match[2] is not None else match[3]
    return None


def _filename(disposition: str) -> str | None:
    """Return the name a client gave, without folders and controls: RFC 5987's form first, then the plain one."""
    extended = _parameter(disposition, "filename*")
    plain = _parameter(disposition, "filename")
    if extended is not None and extended.count("'") >= 2:
        charset, _, quoted = extended.split("'", 2)
        encoding = "latin-1" if charset.lower() == "iso-8859-1" else "utf-8"
        name = unquote_to_bytes(quoted).decode(encoding, "replace")
    elif plain is not None:
        name = re.sub("%22|%0[DA]", lambda match: _FORM_ESCAPES[match[0]], plain)
    else:
        return None
    visible = _INVISIBLE.sub("", replace_surrogates(re.split(r"[/\\]", name)[-1]))
    return visible.strip() or NAMELESS
