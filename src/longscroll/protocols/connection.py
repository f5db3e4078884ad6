"""What a connection may cost: caps and deadlines on what is not a request yet, and on what is sent and not taken.

Refuses what never becomes a request and cuts off who stops reading. Extends uvicorn's connection by its own hooks.
Knows no path and no key; the application says how a refusal reads.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from longscroll.errors import HeadTooLarge, NotHttp, RequestError, RequestTimeout
from longscroll.protocols.asgi import Application
from longscroll.protocols.exchange import CUT, AsgiScope

LINGER_S = 2.0
"""How long what a refused client still sends is read and dropped; closing at once would reset the refusal away."""


class _Stage(Enum):
    """What the next byte belongs to."""

    BETWEEN = auto()  # two requests, or nothing yet
    HEAD = auto()
    BODY = auto()


class GuardedConnection(HttpToolsProtocol):
    """One connection; acts on what is received and on a full socket only, so that a stream pays nothing for it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Prepare a connection; uvicorn calls this."""
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config.app, Application)
        self.url = b""
        self._application = config.app
        self._options = config.app.options
        self._stage = _Stage.BETWEEN
        self._n_pending = 0  # bytes received since a head or a piece of a body was last complete
        self._deadline: asyncio.TimerHandle | None = None
        self._full: asyncio.TimerHandle | None = None  # runs while what was sent waits to be taken
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._limit_silence()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._clear_deadline()
        self._clear_full()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Take notice that the client takes too little; one that goes on so is cut off, and has left then."""
        super().pause_writing()
        self._full = self.loop.call_later(self._options.send_silence_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Take notice that the client has taken most of what waited."""
        self._clear_full()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came; the parser holds no more than the cap of what is not complete, trailers included."""
        if self._is_refused:
            return
        self._n_pending += len(data)
        super().data_received(data)
        if self._n_pending > self._options.max_head_bytes:
            self._refuse(HeadTooLarge())
        self._limit_silence()

    def on_message_begin(self) -> None:
        """Take notice of the first byte of a request."""
        self._stage = _Stage.HEAD
        super().on_message_begin()
        cast("AsgiScope", self.scope)[CUT] = self._cut

    def on_headers_complete(self) -> None:
        """Start the request, unless its head came at once and is too large all the same."""
        n_bytes = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if n_bytes > self._options.max_head_bytes:
            self._refuse(HeadTooLarge())
            raise HeadTooLarge  # ends the parsing
        self._stage = _Stage.BODY
        self._n_pending = 0
        self._clear_deadline()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser takes what follows for another protocol

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take notice of the last byte of a request."""
        self._stage = _Stage.BETWEEN
        self._n_pending = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read."""
        self._refuse(NotHttp(msg))

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: uvicorn would advise to install websockets; the request is answered as plain HTTP."""

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _cut(self) -> None:
        """Close the connection inside an answer, without the answer's end; what was written before is sent."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.transport.close()

    def _limit_silence(self) -> None:
        """See to it that some clock runs while the client has the word: the head's, or that of idle connections.

        A request that is being answered has its own clocks. uvicorn stops the idle one with every byte that comes.
        """
        if self._deadline or self.timeout_keep_alive_task or self._is_answering or self.transport.is_closing():
            return
        if self.cycle is None or self._stage is _Stage.HEAD:
            self._deadline = self.loop.call_later(self._options.head_timeout_s, self._end_wait)
        else:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _end_wait(self) -> None:
        self._deadline = None
        if self._stage is _Stage.HEAD:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _clear_full(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def _refuse(self, error: RequestError) -> None:
        """Answer with an error and end the connection; inside another answer there is no place for one."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        self._clear_deadline()
        if self.pipeline or (self._is_answering and self.cycle.response_started):
            self.transport.close()
            return
        if self._is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(self._render(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)

    def _render(self, error: RequestError) -> bytes:
        reply = self._application.refuse_unread(self.url, error)
        headers = (
            *self.server_state.default_headers,
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            *reply.headers,
            (b"connection", b"close"),
        )
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
        return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers), b"", reply.body])
