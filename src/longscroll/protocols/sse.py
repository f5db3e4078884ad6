"""The writer of server-sent events: an event source in, ``send`` calls out.

Owns when bytes leave: the status line waits for the first frame or for a silence, frames that wait already share one
``send``, silence is filled with comment frames. Knows no frame's inside, which the surfaces render.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from longscroll.protocols.exchange import EventStream, Headers, Send
from longscroll.protocols.options import ProtocolOptions

MEDIA_TYPE = b"text/event-stream;charset=UTF-8"

_MAX_WAITING_FRAMES = 256


class EventWriter:
    """Writes one stream to one client; used once, by the task that serves the request.

    A task of its own drains the source into a short queue; the serving task empties the queue whenever it can send. So
    a frame is never held back for another, and a slow client slows the source only when the queue is full.
    """

    def __init__(self, stream: EventStream, send: Send, *, headers: Headers, options: ProtocolOptions) -> None:
        """Prepare to write ``stream``; ``headers`` go beside those that every event stream has."""
        self._stream = stream
        self._send = send
        self._headers = headers
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._wake: asyncio.Future[None] | None = None  # set while the serving task has nothing to send
        self._space: asyncio.Future[None] | None = None  # set while the source has no room for a frame
        self._is_started = False
        self._is_over = False
        self._is_silent = False
        self.is_ending = False  # the last bytes are on their way
        self._last_sent = self._loop.time()

    @property
    def has_begun(self) -> bool:
        """Whether an error can only be told inside the stream."""
        return self._is_started

    async def write(self) -> None:
        """Write the stream to its end.

        An error of the source passes through after the frames before it are sent; ``fail`` tells it to the client.
        Cancellation passes to the source and returns when the source is closed.
        """
        source = self._loop.create_task(self._drain_source())
        self._timer = self._loop.call_later(self._options.first_heartbeat_s, self._on_timer)
        try:
            while not self._is_over:
                await self._next_need()
                if not self._is_over:
                    await self._flush()
            if self._waiting and source.exception():
                await self._flush()
            await source
            await self._flush(more=False)
        finally:
            self._timer.cancel()
            if not source.done():
                source.cancel()
                await asyncio.wait({source})

    async def fail(self, error: Exception) -> None:
        """End a stream that has begun with the frame of ``error``."""
        self._waiting.append(self._stream.fail(error))
        await self._flush(more=False)

    async def _drain_source(self) -> None:
        render, waiting = self._stream.render, self._waiting
        try:
            async with aclosing(self._stream.events) as events:
                async for event in events:
                    frame = render(event)
                    if not frame:
                        continue
                    waiting.append(frame)
                    if self._wake is not None:
                        self._rouse()
                    if len(waiting) >= _MAX_WAITING_FRAMES:
                        self._space = self._loop.create_future()
                        await self._space
        finally:
            self._is_over = True
            self._rouse()

    async def _next_need(self) -> None:
        """Return when there is a frame to send, the stream is over, or a comment frame is due."""
        if not (self._waiting or self._is_silent):
            self._wake = self._loop.create_future()
            await self._wake

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._wake = None

    async def _flush(self, *, more: bool = True) -> None:
        """Send what is waiting, or a comment frame where only silence is; before the first, the status line."""
        self.is_ending = not more
        waiting = self._waiting
        body = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        if not body and self._is_silent and more:
            body = self._stream.heartbeat
        waiting.clear()
        self._is_silent = False
        if self._space is not None:
            self._space.set_result(None)
            self._space = None
        if not self._is_started:
            await self._start()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._last_sent = self._loop.time()

    async def _start(self) -> None:
        self._is_started = True
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._headers,
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _on_timer(self) -> None:
        """Ask for a comment frame after enough silence; look again when the next could be due."""
        limit_s = self._options.heartbeat_s if self._is_started else self._options.first_heartbeat_s
        remaining_s = self._last_sent + limit_s - self._loop.time()
        if remaining_s <= 0.001:
            self._is_silent = True
            self._rouse()
            remaining_s = self._options.heartbeat_s
        self._timer = self._loop.call_later(max(remaining_s, 0.001), self._on_timer)
