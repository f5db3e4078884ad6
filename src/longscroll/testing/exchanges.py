"""Recorded exchanges: what was asked in a form that can be compared, what was replied byte for byte, and their file.

A file is JSON lines, its first line says what it is. Uploaded files are kept as name, size and SHA-256. Knows no server
and no client.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Struct

from longscroll.errors import LongscrollError, RequestError
from longscroll.protocols.exchange import AsgiMessage, AsgiScope, Receive, Request
from longscroll.protocols.multipart import FormReader, Part
from longscroll.protocols.options import ProtocolOptions
from longscroll.testing.secrets import Secrets, is_secret_name

FORMAT = "longscroll-recording"
VERSION = 1

_log = logging.getLogger(__name__)

Line = TypeVar("Line")


class RecordingError(LongscrollError):
    """A file of recorded exchanges cannot be read or written."""


class Field(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a form: a value, or a file by its size and hash."""

    name: str
    value: str | None = None
    filename: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request comes down to: two that are equal here have the same answer."""

    method: str
    path: str
    query: str = ""  # sorted
    wants_events: bool = False  # by a header, as native requests do
    json: Any = None
    form: tuple[Field, ...] = ()
    sha256: str = ""  # of any other body

    @property
    def key(self) -> bytes:
        """The same bytes for the same request."""
        return msgspec.json.encode(self, order="sorted")


class Piece(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Bytes of a reply as they came; in base64 where a character is cut in two."""

    at_s: float  # after the request was sent
    text: str | None = None
    data: bytes = b""

    @property
    def body(self) -> bytes:
        """The bytes."""
        return self.data if self.text is None else self.text.encode()


class Exchange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and all of its reply."""

    asked: Asked
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    head_at_s: float = 0.0  # when status and headers came
    pieces: tuple[Piece, ...] = ()
    is_cut: bool = False  # the connection broke before the end


class _Head(Struct):
    format: str
    version: int


_HEAD = msgspec.json.encode(_Head(FORMAT, VERSION)) + b"\n"


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body of a request, or None where the client left inside it."""
    pieces = []
    message: AsgiMessage = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


async def understand(scope: AsgiScope, body: bytes, secrets: Secrets) -> Asked:
    """Return what a request comes down to, without the secrets that are known and those of its body."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    is_form = headers.get("content-type", "").lower().startswith("multipart/")
    if not is_form:
        secrets.learn_body(body)
    content = await _form(scope, body, secrets) if is_form else _json_or_hash(secrets.removed(body))
    return Asked(
        method=scope["method"],
        path=secrets.removed_text(scope["path"]),
        query=urlencode(
            sorted((name, "" if is_secret_name(name) else secrets.removed_text(value)) for name, value in query)
        ),
        wants_events=_wants_events(headers),
        **content,
    )


def piece(at_s: float, body: bytes) -> Piece:
    """Return bytes as they are kept."""
    try:
        return Piece(at_s=round(at_s, 4), text=body.decode())
    except UnicodeDecodeError:
        return Piece(at_s=round(at_s, 4), data=body)


class Recording:
    """A file that exchanges are appended to; readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        """Open a file, or make it; what an earlier recorder has left of a last line is cut off.

        Raises:
            RecordingError: others can read it, it has something else in it, or it cannot be written.
        """
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        mode = stat.S_IMODE(os.fstat(self._file).st_mode)
        if mode & 0o077:
            raise RecordingError(
                f"{path} can be read by others (mode {mode:04o}); `chmod 600 {path}` or name a new file."
            )
        data = _read(path)
        if not _HEAD.startswith(data):
            load(path)
        n_whole = data.rfind(b"\n") + 1
        os.ftruncate(self._file, n_whole)
        if n_whole == 0:
            self._write(_HEAD)

    def add(self, exchange: Exchange) -> None:
        """Append an exchange, all of it or nothing.

        Raises:
            RecordingError: it cannot be written, as when there is no space left.
        """
        self._write(msgspec.json.encode(exchange) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        start = os.fstat(self._file).st_size
        left = memoryview(line)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            os.ftruncate(self._file, start)
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RecordingError:
        return RecordingError(f"{self._path} cannot be written: {error.strerror}.")


def load(path: Path) -> list[Exchange]:
    """Read recorded exchanges, in the order in which they ended.

    A last line without its end is what a recorder has left that was killed: it is left out, with a warning.

    Raises:
        RecordingError: the file cannot be read or is no recording; names the line.
    """
    first, *lines = _read(path).split(b"\n")
    head = _decode(path, 1, first, _Head)
    if (head.format, head.version) != (FORMAT, VERSION):
        raise RecordingError(f"{path} is a {head.format} of version {head.version}; expected {FORMAT} {VERSION}.")
    if lines and lines.pop():
        _log.warning("%s ends inside of line %d: this exchange is left out.", path, len(lines) + 2)
    return [_decode(path, number, line, Exchange) for number, line in enumerate(lines, 2)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from error


def _decode(path: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"{path} is no recording, line {number}: {error}.") from error


def request_of(scope: AsgiScope, body: bytes) -> Request:
    """Return a request, with an id of its own, whose body is there already."""

    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": body, "more_body": False}

    now = datetime.now(UTC)
    return Request(scope, receive, request_id=str(uuid.uuid4()), received_at=now, options=ProtocolOptions())


async def _form(scope: AsgiScope, body: bytes, secrets: Secrets) -> dict[str, Any]:
    try:
        return {
            "form": tuple([await _field(part, secrets) async for part in FormReader(request_of(scope, body)).parts()])
        }
    except RequestError:
        return _json_or_hash(body)


async def _field(part: Part, secrets: Secrets) -> Field:
    data = b"".join([piece async for piece in part.pieces()])
    name = secrets.removed_text(part.name)
    if part.filename is None:
        value = "" if is_secret_name(name) else secrets.removed_text(data.decode(errors="replace"))
        return Field(name=name, value=value)
    filename = secrets.removed_text(part.filename)
    return Field(name=name, filename=filename, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _json_or_hash(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return {"json": msgspec.json.decode(body)}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"sha256": hashlib.sha256(body).hexdigest()}


def _wants_events(headers: Mapping[str, str]) -> bool:
    return headers.get("x-dashscope-sse", "").lower() == "enable" or "text/event-stream" in headers.get("accept", "")
