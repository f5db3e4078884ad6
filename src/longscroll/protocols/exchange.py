"""One HTTP request and the reply to it, as handlers see them, and the row of the route table that joins the two.

Knows ASGI's ``receive`` and nothing of ``send``: ``asgi`` delivers replies. Knows no surface's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from longscroll.access.base import Principal, Scope
from longscroll.errors import BodyTooLarge, LongscrollError, RequestTimeout, UploadAborted
from longscroll.protocols.encoding import decode, encode
from longscroll.protocols.options import ProtocolOptions
from longscroll.types import ChatEvent, SurfaceName

T = TypeVar("T")

AsgiMessage = MutableMapping[str, Any]
AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Coroutine[Any, Any, None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON = "application/json"
CUT = "longscroll.cut"
"""Where a scope has what closes its connection inside an answer; of our own server only."""

_DECODE_ON_LOOP_BYTES = 2 << 20


class Reply(Struct, frozen=True, kw_only=True):
    """A whole response."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: Headers = ()


class Pieces(Struct, frozen=True, kw_only=True):
    """A response of status 200 whose body comes piece by piece; an error before the first keeps its own status."""

    pieces: AsyncGenerator[bytes, None]
    content_type: str


class EventStream(Struct, frozen=True, kw_only=True):
    """A stream of server-sent events: ``render`` turns each event into whole frames, or into nothing.

    All are called on the event loop, ``render`` and ``fail`` in order, ``fail`` at most once and last: it renders the
    error that ended the stream after its first frame. ``heartbeat`` renders the comment frame of a silence, when one is
    due.
    """

    events: AsyncGenerator[ChatEvent, None]
    render: Callable[[ChatEvent], bytes]
    fail: Callable[[Exception], bytes]
    heartbeat: Callable[[], bytes]


Answer = Reply | Pieces | EventStream


def json_reply(value: object, *, status: int = 200, headers: Headers = ()) -> Reply:
    """Return ``value`` as a JSON response."""
    return Reply(body=encode(value), status=status, headers=headers)


class Request:
    """One request, before its body is read. ``id`` is the same in the header, in bodies, in frames and in logs."""

    def __init__(
        self, scope: AsgiScope, receive: Receive, *, request_id: str, received_at: datetime, options: ProtocolOptions
    ) -> None:
        self.id = request_id
        self.received_at = received_at
        self.method: str = scope["method"]
        self.route: Route | None = None
        self.template = ""  # the path of the route table that this one fits; empty: none
        self.arguments: Mapping[str, str] = {}  # of the route's path
        self.on_body_end: Callable[[], None] | None = None
        self.surface: SurfaceName = "openai"
        self.is_exempt = False  # from limits
        self.error: LongscrollError | None = None  # what ended it, where it did not end well
        self._endings: list[Callable[[], None]] = []
        self._principal: Principal | None = None
        self._scope = scope
        self._receive = receive
        self._options = options
        self._has_more = True
        self._body: bytes | None = None

    @property
    def caller(self) -> Principal | None:
        """The caller, once the key is checked."""
        return self._principal

    @property
    def principal(self) -> Principal:
        """The caller; asking before the key is checked is our own mistake."""
        assert self._principal is not None
        return self._principal

    @principal.setter
    def principal(self, principal: Principal) -> None:
        self._principal = principal

    def at_end(self, ending: Callable[[], None]) -> None:
        """Have something called when the request has ended, however it ends; ``error`` is known then."""
        self._endings.append(ending)

    def cut(self) -> None:
        """Close the connection as it is, without an end of the answer; a server that is not ours does as it likes."""
        if CUT in self._scope:
            self._scope[CUT]()

    def end(self) -> None:
        """Call what waits for the end; by who serves the request, once."""
        for ending in self._endings:
            ending()

    @property
    def query(self) -> dict[str, str]:
        """The query string; of a name given twice the last value."""
        return dict(parse_qsl(self._scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name."""
        for key, value in self._scope["headers"]:
            if key == name:
                text: str = value.decode("latin-1")
                return text
        return None

    async def next_piece(self) -> bytes | None:
        """Return the next bytes of the body, or None at its end.

        Raises:
            UploadAborted: the client left before the end.
            RequestTimeout: nothing came for too long.
        """
        if not self._has_more:
            return None
        try:
            async with asyncio.timeout(self._options.body_silence_s):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout from None
        if message["type"] == "http.disconnect":
            raise UploadAborted("The connection was closed inside the request body.")
        self._has_more = message.get("more_body", False)
        if not self._has_more and self.on_body_end is not None:
            self.on_body_end()
        piece: bytes = message.get("body", b"")
        return piece

    async def body(self) -> bytes:
        """Return the whole body, as often as it is asked for.

        Raises:
            BodyTooLarge: it is, or says it is, over the limit for JSON; what follows is left unread.
        """
        if self._body is None:
            self._body = await self._read_body()
        return self._body

    async def decode(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Return the body as the decoder's type; a large one is decoded in a thread.

        Raises:
            InvalidBody: not JSON, or no object.
            msgspec.ValidationError: a field has the wrong type.
        """
        body = await self.body()
        if len(body) > _DECODE_ON_LOOP_BYTES:
            return await asyncio.to_thread(decode, body, decoder)
        return decode(body, decoder)

    async def _read_body(self) -> bytes:
        limit = self._options.max_body_bytes
        announced = self.header(b"content-length") or ""
        if announced.isdecimal() and int(announced) > limit:
            raise BodyTooLarge("Payload Too Large.")
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.next_piece()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise BodyTooLarge("Payload Too Large.")
        return b"".join(pieces)


Handler = Callable[[Request], Awaitable[Answer]]


class Form:
    """Stands in the route table for a multipart body."""


class RequestParameter(Struct, frozen=True, kw_only=True):
    """One parameter of a query string, or one header, as the description of the interface tells it."""

    name: str
    says: str
    place: Literal["query", "header"] = "query"
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})


class Route(Struct, frozen=True, kw_only=True):
    """One row of the route table. ``{name}`` in the path takes one segment, ``{name...}`` the rest."""

    method: str
    path: str
    scope: Scope | None  # None: any key may
    handler: Handler
    request: type | None = None  # the type of the body; None: there is none
    response: type | None = None
    is_open: bool = False  # True: no key is asked for
    parameters: tuple[RequestParameter, ...] = ()
    requires: tuple[str, ...] = ()  # fields of the body that must be there
    form: type | None = None  # the parts of a multipart body
    events: type | None = None  # what the events of a stream hold, where the reply may be one
    content_types: tuple[str, ...] = (JSON,)  # of the reply


class Surface(Struct, frozen=True, kw_only=True):
    """A wire protocol as the boundary knows it: where it lives and how it says no."""

    name: SurfaceName
    roots: tuple[str, ...]  # first segments of its paths; empty: of every other path
    refuse: Callable[[Request, Exception], Reply]
