"""What clients put on a server that speaks OpenAI's chat: requests one after another, streams at once, streams in time.

Raw sockets and no HTTP library, so that the client costs little. The answers are those of ``servers``: their text is
made of one word, which is how a piece of content is known whoever has rendered it.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import msgspec
from benchmarks.serving.measures import cpu_ns
from benchmarks.serving.open_loop import Arrivals
from msgspec import Struct

WORD = b"piece"
"""What every piece of content says, once."""
_OVERLAP = len(WORD) - 1
_LONG_S = 60.0


class Target(Struct, kw_only=True):
    """Where to ask."""

    name: str
    pid: int
    port: int
    path: str = "/v1/chat/completions"
    key: str = "sk-benchmark"

    def request(self, model: str, *, is_streamed: bool, keeps_alive: bool = True) -> bytes:
        """Return the bytes of a question to a model."""
        messages = [{"role": "user", "content": "How are you today?"}]
        body = msgspec.json.encode({"model": model, "messages": messages, "stream": is_streamed})
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {self.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Connection: {'keep-alive' if keeps_alive else 'close'}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def connect(self) -> socket.socket:
        """Connect to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_LONG_S)


class Cost(Struct, kw_only=True):
    """What requests cost the server."""

    us_per_request: float
    us_per_piece: float


class _Reply:
    """One reply as its bytes come."""

    def __init__(self) -> None:
        self.n_pieces = 0
        self._head = b""
        self._tail = b""
        self._left: int | None = None  # of a body whose length is known

    def feed(self, data: bytes) -> bool:
        """Take bytes; returns whether they were the last."""
        self.n_pieces += (self._tail + data).count(WORD)
        self._tail = (self._tail + data)[-_OVERLAP:]
        if self._left is None and b"\r\n\r\n" not in self._head:
            self._head += data
            head, separator, body = self._head.partition(b"\r\n\r\n")
            if not separator:
                return False
            assert head.startswith(b"HTTP/1.1 200 "), self._head[:600]
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
            self._left = None if length is None else int(length[15:])
            data = body
        if self._left is not None:
            self._left -= len(data)
            return self._left <= 0
        return data.endswith(b"0\r\n\r\n")


def ask(target: Target, request: bytes, *, n_requests: int, n_connections: int = 8) -> Cost:
    """Send a request so many times, each connection the next as soon as it has its reply."""
    begun, n_left, n_pieces = cpu_ns(target.pid), n_requests, 0
    with _connected(target, n_connections) as selector:
        for key in list(selector.get_map().values()):
            n_left -= 1
            cast("socket.socket", key.fileobj).sendall(request)
        while selector.get_map():
            for key, _ in selector.select(_LONG_S):
                connection, reply = cast("socket.socket", key.fileobj), key.data
                data = connection.recv(1 << 18)
                assert data, f"{target.name} closed the connection"
                if not reply.feed(data):
                    continue
                n_pieces += reply.n_pieces
                selector.unregister(connection)
                if n_left > 0:
                    n_left -= 1
                    selector.register(connection, selectors.EVENT_READ, _Reply())
                    connection.sendall(request)
    used_us = (cpu_ns(target.pid) - begun) / 1000
    assert n_pieces >= n_requests, f"{target.name} said less than it was told"
    return Cost(us_per_request=used_us / n_requests, us_per_piece=used_us / n_pieces)


@contextmanager
def _connected(target: Target, n_connections: int) -> Iterator[selectors.BaseSelector]:
    sockets = [target.connect() for _ in range(n_connections)]
    with selectors.DefaultSelector() as selector:
        for connection in sockets:
            selector.register(connection, selectors.EVENT_READ, _Reply())
        yield selector
    for connection in sockets:
        connection.close()


class Paced(Struct, kw_only=True):
    """What was seen of streams that come in their own time."""

    first_s: Sequence[float]  # to the first piece of each
    us_per_piece: float


async def watch_paced(target: Target, request: bytes, *, n_streams: int, over_s: float) -> Paced:
    """Open streams one after another, evenly over a time, each on a connection of its own, and wait for their ends."""
    begun = cpu_ns(target.pid)
    waits = [_first_s(target, request, after_s=over_s * number / n_streams) for number in range(n_streams)]
    seen = await asyncio.gather(*waits)
    used_us = (cpu_ns(target.pid) - begun) / 1000
    return Paced(first_s=[first_s for first_s, _ in seen], us_per_piece=used_us / sum(n for _, n in seen))


async def _first_s(target: Target, request: bytes, *, after_s: float) -> tuple[float, int]:
    await asyncio.sleep(after_s)
    sent = time.perf_counter()
    arrivals = await open_stream(target, request)
    first = await arrivals.begun
    await arrivals.ended
    return first - sent, len(arrivals.times)


async def open_stream(target: Target, request: bytes) -> Arrivals:
    """Send a request on a new connection."""
    loop = asyncio.get_running_loop()
    _, arrivals = await loop.create_connection(lambda: Arrivals(request), "127.0.0.1", target.port)
    return arrivals
