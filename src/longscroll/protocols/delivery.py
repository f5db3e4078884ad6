"""How a reply leaves, and how a client that has left is noticed.

Owns the ``send`` of one request and every header that all responses share. Knows no route and no field of a surface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import cast

from longscroll.protocols.cors import allowance
from longscroll.protocols.exchange import (
    Answer,
    EventStream,
    Headers,
    Pieces,
    Receive,
    Reply,
    Request,
    Send,
    Surface,
)
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.sse import EventWriter


class Outlet:
    """Sends the one response of a request; used by the task that serves it."""

    def __init__(self, send: Send, request: Request, options: ProtocolOptions) -> None:
        self._send = send
        self._request = request
        self._options = options
        self._arrived_at = asyncio.get_running_loop().time()
        self._writer: EventWriter | None = None
        self._is_started = False
        self._status = 0
        self._is_ending = False

    @property
    def is_ending(self) -> bool:
        """Whether the last bytes are on their way, so that it no longer matters if the client leaves."""
        return self._is_ending or (self._writer is not None and self._writer.is_ending)

    @property
    def status(self) -> int:
        """The status that was sent, or 0."""
        return 200 if self._writer is not None and self._writer.is_started else self._status

    async def deliver(self, answer: Answer) -> None:
        """Send an answer to its end."""
        if isinstance(answer, EventStream):
            self._writer = EventWriter(answer, self._send, headers=self._shared, options=self._options)
            await self._writer.write()
        elif isinstance(answer, Pieces):
            await self._deliver_pieces(answer)
        else:
            await self._deliver_reply(answer)

    async def break_off(self) -> None:
        """Let the connection break where the answer is; what was rendered of it still arrives."""
        if self._writer is not None:
            await self._writer.break_off()
        self._is_ending = True
        self._request.cut()

    async def refuse(self, surface: Surface, error: Exception) -> int:
        """Tell the client of an error: by status and body, or inside a stream that has begun. Returns the status.

        A body that was being sent in pieces has no place for an error: it stays short, which ends the connection.
        """
        reply = surface.refuse(self._request, error)
        if self._writer is not None and self._writer.has_begun:
            await self._writer.fail(error)
        elif not self._is_started:
            await self._deliver_reply(reply)
        return reply.status

    async def _deliver_reply(self, reply: Reply) -> None:
        self._is_ending = True
        length = (b"content-length", str(len(reply.body)).encode())
        await self._start(reply.status, reply.content_type, (length, *reply.headers))
        await self._send({"type": "http.response.body", "body": reply.body, "more_body": False})

    async def _deliver_pieces(self, answer: Pieces) -> None:
        async with aclosing(answer.pieces) as pieces:
            async for piece in pieces:
                if not self._is_started:
                    await self._start(200, answer.content_type)
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self._is_ending = True
        if not self._is_started:
            await self._start(200, answer.content_type)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _shared(self) -> Headers:
        """Return the headers of every response, as it begins."""
        cost_ms = round((asyncio.get_running_loop().time() - self._arrived_at) * 1000)
        return (
            (b"x-request-id", self._request.id.encode()),
            (b"req-cost-time", b"%d" % cost_ms),
            *allowance(self._request, self._options),
        )

    async def _start(self, status: int, content_type: str, headers: Headers = ()) -> None:
        self._is_started = True
        self._status = status
        all_headers = [(b"content-type", content_type.encode()), *headers, *self._shared()]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})


class Watcher:
    """Waits for the client to leave and then cancels the task that serves it, whatever that task waits for."""

    def __init__(self, receive: Receive, is_ending: Callable[[], bool]) -> None:
        self.client_left = False
        self._receive = receive
        self._is_ending = is_ending
        self._served = cast("asyncio.Task[None]", asyncio.current_task())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch; from here on nobody else may call ``receive``."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """End the watch."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # a body that no handler asked for
        if not self._is_ending():
            self.client_left = True
            self._served.cancel()
