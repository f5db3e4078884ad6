"""The writer of server-sent events: an event source in, ``send`` calls out.

Owns when bytes leave: the status line waits for the first frame or for a silence, frames that wait already share one
``send``, silence is filled with comment frames. Knows no frame's inside, which the surfaces render.

The source is run by hand, one step of its ``__anext__`` at a time: that alone tells, in one task, whether its next
event is there already. A second task with a queue tells it too, for a fifth more CPU per chunk (benchmarks/serving).
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any

from longscroll.protocols.exchange import EventStream, Headers, Send
from longscroll.protocols.options import ProtocolOptions
from longscroll.types import ChatEvent

MEDIA_TYPE = b"text/event-stream;charset=UTF-8"

_MAX_WAITING_FRAMES = 256
_MAX_WAITING_BYTES = 1 << 16
"""Of a source that never waits. With what the socket has not taken, it is all that a slow client holds."""

Step = Coroutine[Any, Any, ChatEvent]
"""The wait for one event, which can be taken up and left as the loop would."""


class EventWriter:
    """Writes one stream to one client; used once, by the task that serves the request.

    No frame is held back for another: what the source has ready is sent together, as soon as the source must wait.
    """

    def __init__(
        self, stream: EventStream, send: Send, *, headers: Callable[[], Headers], options: ProtocolOptions
    ) -> None:
        """Prepare to write ``stream``; ``headers`` returns, as it begins, those beside what every event stream has."""
        self.is_ending = False  # the last bytes are on their way
        self._stream = stream
        self._send = send
        self._headers = headers
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._is_started = False
        self._last_sent = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._beating: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether an error can only be told inside the stream."""
        return self._is_started or bool(self._waiting)

    @property
    def is_started(self) -> bool:
        """Whether the status line is sent."""
        return self._is_started

    async def write(self) -> None:
        """Write the stream to its end.

        An error of the source passes through; ``fail`` then tells it to the client. Cancellation passes to the source
        and returns when the source is closed.
        """
        self._watch_silence(self._options.first_heartbeat_s)
        try:
            async with aclosing(self._stream.events) as events:
                await self._drain(events)
            await self._end()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def break_off(self) -> None:
        """Send the frames that wait, if any; no end will follow."""
        if self._waiting:
            await self._flush()

    async def fail(self, error: Exception) -> None:
        """End a stream that has begun with the frame of ``error``, after the frames that wait."""
        self._waiting.append(self._stream.fail(error))
        await self._end()

    @types.coroutine
    def _drain(self, events: AsyncGenerator[ChatEvent, None]) -> Generator[Any, Any, None]:
        """Render every event; send what waits when the source must wait for its next one, or when much waits.

        The source goes first: it runs until it waits, what it waits for is kept, the frames leave, then the wait is
        taken up. A cancellation meanwhile reaches the source as if it had been waiting all along.
        """
        waiting, render, send = self._waiting, self._stream.render, self._send
        n_bytes = 0  # rendered without a wait in between, since much was sent
        while True:
            step: Step = events.asend(None)
            try:
                awaited = step.send(None)
            except StopIteration as ready:
                event: ChatEvent = ready.value
            except StopAsyncIteration:
                return
            else:
                try:
                    if len(waiting) == 1 and self._is_started and self._beating is None:
                        # As _flush would; this is the usual case, and a coroutine less is a tenth of a chunk's cost.
                        yield from send({"type": "http.response.body", "body": waiting[0], "more_body": True})
                        waiting.clear()
                        self._last_sent = self._loop.time()
                    elif waiting:
                        yield from self._flush()
                    yield awaited
                except asyncio.CancelledError as cancellation:
                    step = _cancel(step, cancellation)
                try:
                    event = yield from step
                except StopAsyncIteration:
                    return
            frame = render(event)
            if frame:
                waiting.append(frame)
            if len(waiting) > 1:
                n_bytes += len(frame)
                if len(waiting) >= _MAX_WAITING_FRAMES or n_bytes >= _MAX_WAITING_BYTES:
                    yield from self._flush()
                    n_bytes = 0
                    yield

    async def _flush(self) -> None:
        """Send what is waiting. A ``send`` that is cancelled has sent nothing, so its frames wait on."""
        waiting = self._waiting
        if self._beating is not None or not self._is_started:
            await self._begin()
        body = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        waiting.clear()
        self._last_sent = self._loop.time()

    async def _end(self) -> None:
        self.is_ending = True
        await self._begin()
        await self._send({"type": "http.response.body", "body": b"".join(self._waiting), "more_body": False})

    async def _begin(self) -> None:
        """Wait for a comment frame that is on its way; send the status line if nobody has."""
        if self._beating is not None:
            await self._beating
        if not self._is_started:
            await self._send_head()

    async def _send_head(self) -> None:
        self._is_started = True
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *self._headers(),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _watch_silence(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        """Send a comment frame after enough silence; look again when the next could be due."""
        limit_s = self._options.heartbeat_s if self._is_started else self._options.first_heartbeat_s
        remaining_s = self._last_sent + limit_s - self._loop.time()
        if remaining_s <= 0.001:
            remaining_s = self._options.heartbeat_s
            if self._beating is None and not self._waiting:
                self._beating = self._loop.create_task(self._beat())
        self._watch_silence(remaining_s)

    async def _beat(self) -> None:
        if not self._is_started:
            await self._send_head()
        await self._send({"type": "http.response.body", "body": self._stream.heartbeat(), "more_body": True})
        self._last_sent = self._loop.time()
        self._beating = None


@types.coroutine
def _cancel(step: Step, cancellation: asyncio.CancelledError) -> Step:
    """Throw a cancellation into a wait and see it to its end.

    The source may clean up, which can wait too, or turn it into something else, as a timeout of its own does.
    """
    try:
        awaited = step.throw(cancellation)
    except StopIteration as ready:
        event: ChatEvent = ready.value
        return event
    try:
        yield awaited
    except asyncio.CancelledError as again:
        step = _cancel(step, again)
    return (yield from step)
