"""Many clients of one service at once: who listen to the end, who read a byte a second, who vanish at any moment."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import random
import re
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import psutil
from msgspec import Struct

from factories.http import Client
from factories.observed import REQUEST, ObservedService
from factories.raw_chats import Surface, chat_request

N_WORDS, PACE_S = 60, 0.2
GATHERED_S = 6.0
"""When all have connected, and those who listen have heard a third."""
RESET = struct.pack("ii", 1, 0)
_CHANGING = re.compile(rb'"(id|request_id)":"[^"]*"|"created":\d+')
SCRIPT: tuple[dict[str, Any], ...] = (
    {"message": "flood", "deltas": ["flooding" * 8192] * 100, "pace_s": 0.002},
    {"message": "burst", "deltas": ["水 water " * 400] * 2000},
    {"message": "silence", "deltas": ["one ", "two "], "fault": {"error": "silence", "after": 2}},
    {"message": "nothing", "fault": {"error": "silence"}},
    {"deltas": [f"word {n}, 第{n}个字 “é”\n" for n in range(N_WORDS)], "pace_s": PACE_S},
)
"""More than any socket holds, with a pause after each piece or all at once; silence, after two words or at once; and
for all else sixty words in twelve seconds."""


def write_script(folder: Path) -> Sequence[str]:
    """Return the arguments that give a service the model ``scripted``."""
    script, config = folder / "crowd.jsonl", folder / "crowd.toml"
    script.write_text("\n".join(json.dumps(rule) for rule in SCRIPT))
    config.write_text(f'[[model]]\nname = "scripted"\nengine = "scripted"\nscript = "{script}"\n')
    return ["--config", str(config)]


class Footprint(Struct, kw_only=True):
    """What a service holds that can be seen from outside, and the tasks of its loop."""

    tasks: dict[str, int]
    n_connections: int
    n_threads: int
    children: set[int]
    rss_bytes: int


def footprint(service: ObservedService) -> Footprint:
    """Look at a service."""
    process = psutil.Process(service.process.pid)
    return Footprint(
        tasks={name: n for name, n in service.tasks().items() if name == REQUEST or n > 1},
        n_connections=sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections("tcp")),
        n_threads=process.num_threads(),
        children={child.pid for child in process.children(recursive=True)},
        rss_bytes=process.memory_info().rss,
    )


class _Listener(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self.received = bytearray()
        self.ended = asyncio.get_running_loop().create_future()
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


async def listen(client: Client, request: bytes) -> bytes:
    """Send a request; return the body to its last byte, ids and times left out, or what came when it was cut."""
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(lambda: _Listener(request), *client.service.host_and_port)
    await listener.ended
    return _CHANGING.sub(b"", _body(bytes(listener.received)))


def _body(received: bytes) -> bytes:
    class Received:
        def makefile(self, *_: object) -> io.BytesIO:
            return io.BytesIO(received)

    response = http.client.HTTPResponse(cast("socket.socket", Received()))
    try:
        response.begin()
        return response.read()
    except http.client.HTTPException:
        return received


async def connect(client: Client, request: bytes, *, is_narrow: bool = False) -> socket.socket:
    """Send a request by a bare socket, one that the kernel gives next to no buffer if it is narrow."""
    connection = socket.socket()
    connection.setblocking(False)
    if is_narrow:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, client.service.host_and_port)
    await loop.sock_sendall(connection, request)
    return connection


async def read_slowly(client: Client, request: bytes, enough: asyncio.Event) -> None:
    """Read a byte a second until it is enough, then leave."""
    with await connect(client, request, is_narrow=True) as connection:
        while not enough.is_set():
            assert await asyncio.get_running_loop().sock_recv(connection, 1), "the service hung up on a slow reader"
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), 1)


async def vanish(client: Client, chance: random.Random) -> None:
    """Leave inside the head, in the middle of a stream or in silence, by a closed or by a reset connection."""
    question = chance.choice(("head", "go on", "flood", "silence", "nothing"))
    surface = chance.choice(("compat", "native"))
    request = chat_request(client, question, surface=cast("Surface", surface), model="scripted")
    with await connect(client, request[:60] if question == "head" else request) as connection:
        await asyncio.sleep(chance.uniform(0, 3))
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


class Crowd(Struct, kw_only=True, frozen=True):
    """How many of each kind."""

    n_listening: int = 800
    n_slow: int = 100
    n_vanishing: int = 100

    @property
    def n_clients(self) -> int:
        """All of them."""
        return self.n_listening + self.n_slow + self.n_vanishing


class Gathering(Struct, kw_only=True, frozen=True):
    """What a crowd received, and how many of it were served at once."""

    bodies: tuple[bytes, ...]
    n_at_once: int


async def gather(service: ObservedService, crowd: Crowd, *, seed: int) -> Gathering:
    """Let a crowd come at once and wait until the last has left."""
    client, chance, enough = Client(service), random.Random(seed), asyncio.Event()
    talk, flood = (chat_request(client, question, model="scripted") for question in ("go on", "flood"))
    leaving = [read_slowly(client, flood, enough) for _ in range(crowd.n_slow)]
    leaving += [vanish(client, random.Random(chance.random())) for _ in range(crowd.n_vanishing)]
    others = asyncio.gather(*leaving)
    listening = asyncio.gather(*(listen(client, talk) for _ in range(crowd.n_listening)))
    await asyncio.sleep(GATHERED_S)
    n_at_once = await asyncio.to_thread(service.n_requests)
    bodies = await listening
    enough.set()
    await others
    await asyncio.to_thread(service.ended_at)
    return Gathering(bodies=tuple(bodies), n_at_once=n_at_once)
