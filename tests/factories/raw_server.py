"""A model server of raw bytes: a test decides every block, every pause and every hang-up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple


class Request(NamedTuple):
    """What the engine sent."""

    line: str
    headers: dict[str, str]  # lower-case names
    body: Any


class Connection:
    """One connection, after its request has been read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, *blocks: bytes) -> None:
        """Write each block as a packet of its own."""
        for block in blocks:
            self._writer.write(block)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def reply(self, body: bytes, *, status: int = 200, kind: str = "application/json", headers: str = "") -> None:
        """Send a whole response and close."""
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    async def begin_stream(self) -> None:
        """Send the head of an event stream that ends with the connection."""
        await self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")

    async def wait_until_left(self) -> None:
        """Return when the engine has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(4096):
                pass


Handler = Callable[[Connection], Awaitable[None]]


class RawServer(NamedTuple):
    """A server that is running."""

    url: str  # ends in /v1
    requests: list[Request]


@contextlib.asynccontextmanager
async def raw_server(*handlers: Handler, port: int = 0) -> AsyncIterator[RawServer]:
    """Serve each connection by the next handler, the last one for all that follow; one request per connection."""
    requests: list[Request] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            requests.append(await _read_request(reader))
            await handlers[min(len(requests), len(handlers)) - 1](Connection(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield RawServer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", requests)
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(line, headers, json.loads(body) if body else None)


def free_port() -> int:
    """Return a port of the loopback where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def chunk(text: str | None = None, **choice: Any) -> bytes:
    """Return one chunk as an event: a piece of text, or the fields of its choice."""
    delta = {} if text is None else {"content": text}
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, **choice}]})


def event(data: Any) -> bytes:
    """Return data as an event."""
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def usage(n_input: int, n_output: int, *, n_cached: int = 0) -> bytes:
    """Return the chunk that has the usage and no choice."""
    details = {"cached_tokens": n_cached}
    counts = {"prompt_tokens": n_input, "completion_tokens": n_output, "prompt_tokens_details": details}
    return event({"choices": [], "usage": counts})


DONE = b"data: [DONE]\n\n"
