"""Leaving: the server's connection is closed at once when nobody wants the answer, and kept when it was read whole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from factories.prompts import prompt
from factories.raw_server import DONE, Connection, chunk, raw_server, usage
from longscroll.engines.base import EngineFinish, EngineUsage, Text
from longscroll.engines.upstream import Upstream, UpstreamOptions
from longscroll.errors import EngineFailed

ALLOWED_S = 0.25
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = (chunk("春"), chunk(finish_reason="stop"), usage(9, 2), DONE)
ANSWER = [Text("春"), EngineFinish(usage=EngineUsage(n_input_tokens=9, n_output_tokens=2))]


def engine_at(url: str) -> Upstream:
    return Upstream(UpstreamOptions(name="gpu", urls=(url,), context_window=4096))


async def silent(connection: Connection) -> None:
    await connection.wait_until_left()


async def endless(connection: Connection) -> None:
    await connection.begin_stream()
    while True:
        await connection.send(chunk("字"))
        await asyncio.sleep(0.005)


class Watched(NamedTuple):
    url: str
    arrived: asyncio.Event  # the request is there
    left: asyncio.Event  # the engine has closed its side


@contextlib.asynccontextmanager
async def watched(handler: Any) -> AsyncIterator[Watched]:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def serve(connection: Connection) -> None:
        arrived.set()
        serving = asyncio.ensure_future(handler(connection))
        await connection.wait_until_left()
        left.set()
        serving.cancel()

    async with raw_server(serve) as server:
        yield Watched(server.url, arrived, left)


async def test_closing_the_answer_midstream_leaves_the_server_at_once() -> None:
    async with watched(endless) as server, engine_at(server.url) as engine:
        events = engine.generate(prompt())
        assert await anext(events) == Text("字")
        began = time.monotonic()
        await events.aclose()
        await asyncio.wait_for(server.left.wait(), 5)
        assert time.monotonic() - began < ALLOWED_S


@pytest.mark.parametrize("handler", [silent, endless])
async def test_cancelling_leaves_the_server_at_once_silent_or_not(handler: Any) -> None:
    async with watched(handler) as server, engine_at(server.url) as engine:

        async def read() -> None:
            async for _ in engine.generate(prompt()):
                pass

        reading = asyncio.create_task(read())
        await asyncio.wait_for(server.arrived.wait(), 5)
        began = time.monotonic()
        reading.cancel()
        await asyncio.wait_for(server.left.wait(), 5)
        assert time.monotonic() - began < ALLOWED_S
        assert reading.cancelled()


async def test_stopping_the_engine_ends_what_runs() -> None:
    async with watched(endless) as server:
        engine = engine_at(server.url)
        await engine.start()
        events = engine.generate(prompt())
        assert await anext(events) == Text("字")
        await engine.stop()
        await asyncio.wait_for(server.left.wait(), 5)
        with pytest.raises(EngineFailed, match="broke off"):
            _ = [event async for event in events]


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    n_connections = 0

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_connections
        n_connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                data = b"".join(WHOLE)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
                await asyncio.sleep(0.01)  # the end of the body comes a little later, as from real servers
                writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
        async with engine_at(url) as engine:
            for _ in range(3):
                assert [event async for event in engine.generate(prompt())] == ANSWER
    assert n_connections == 1
