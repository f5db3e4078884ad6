"""CPU per streamed chunk: the real boundary, with keys checked, against raw ASGI on the same uvicorn.

    python benchmarks/serving/streaming.py [--rounds 7] [--deltas 400] [--connections 8]

Both servers run the same source, one delta per turn of the loop, and render the same template. Raw ASGI is the least
that can be written: no key, no watcher, no comment frames, one ``send`` per chunk. Windows are interleaved; CPU is that
of all threads of the server process, from schedstat; the table shows medians and the range of the paired ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import uvicorn

from longscroll.access.keys import Keys
from longscroll.engines.base import Engine
from longscroll.protocols.asgi import Application
from longscroll.protocols.connection import GuardedConnection
from longscroll.protocols.encoding import escape
from longscroll.protocols.routes import Services
from longscroll.services.files import FileService
from longscroll.services.models import Model, ModelCatalog
from longscroll.storage.memory import MemoryKeys
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Usage

KEY = "sk-benchmark"
CHAT = "/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
BODIES = {
    CHAT: b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}],"stream":true}',
    GENERATION: b'{"model":"qwen-long","input":{"prompt":"hi"},"parameters":{"incremental_output":true}}',
}
BEFORE = b'data: {"choices":[{"delta":{"content":"'
AFTER = (
    b'"},"finish_reason":null,"index":0,"logprobs":null}],"object":"chat.completion.chunk","usage":null,'
    b'"created":1764500000,"system_fingerprint":null,"model":"qwen-long",'
    b'"id":"chatcmpl-5b0a4c1e-6d1f-4f0e-9a55-2f9a2f1f9c10"}\n\n'
)
NATIVE = (
    b'id:%d\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"choices":[{"message":{"content":"%b","role":"assistant"},'
    b'"finish_reason":"null"}]},"usage":{"total_tokens":%d,"input_tokens":%d,"output_tokens":%d},'
    b'"request_id":"5b0a4c1e-6d1f-4f0e-9a55-2f9a2f1f9c10"}\n\n'
)
ROWS = (
    ("raw ASGI, compat", "raw", CHAT),
    ("compat chat", "longscroll", CHAT),
    ("raw ASGI, native", "raw", GENERATION),
    ("native generation", "longscroll", GENERATION),
)
"""Each surface beside the raw server that renders its frames."""


async def source(n_deltas: int) -> AsyncGenerator[ChatEvent, None]:
    for n in range(1, n_deltas + 1):
        await asyncio.sleep(0)
        yield Delta(text="piece ", n_input_tokens=5, n_output_tokens=n)
    usage = Usage(n_input_tokens=5, n_output_tokens=n_deltas)
    yield Finish(reason="stop", usage=usage, model_served="qwen-long")


def compat_frame(_event: Delta, text: bytes) -> bytes:
    return BEFORE + text + AFTER


def native_frame(event: Delta, text: bytes) -> bytes:
    n_input, n_output = event.n_input_tokens, event.n_output_tokens
    return NATIVE % (n_output, text, n_input + n_output, n_input, n_output)


def raw_application(n_deltas: int) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        render = compat_frame if scope["path"] == CHAT else native_frame
        headers = [(b"content-type", b"text/event-stream;charset=UTF-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in source(n_deltas):
            if isinstance(event, Delta):
                frame = render(event, escape(event.text))
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return application


def real_application(n_deltas: int) -> Application:
    def answer(_request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        return source(n_deltas)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        keys = Keys(MemoryKeys(), b"p" * 32, clock=lambda: datetime.now(UTC))
        await keys.adopt(KEY, "default", name="benchmark")
        engine = cast("Engine", object())
        model = Model(name="qwen-long", aliases=(), engine=engine, served_name="qwen-long", citations="off")
        files = cast("FileService", object())
        catalog = ModelCatalog([model], created=0)
        yield Services(authenticate=keys.authenticate, answer=answer, files=files, catalog=catalog)

    return Application(services)


def serve(kind: str, n_deltas: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    application: Any = raw_application(n_deltas) if kind == "raw" else real_application(n_deltas)
    lifespan: Any = "off" if kind == "raw" else "on"
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools" if kind == "raw" else GuardedConnection,
        ws="none",
        lifespan=lifespan,
        log_level="error",
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


def cpu_ns(pid: int) -> int:
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def window(pid: int, port: int, path: str, *, n_connections: int) -> float:
    """Run one stream on each of several connections, four times over; return microseconds of CPU per chunk."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nAccept: text/event-stream\r\n"
    request = f"{head}Content-Length: {len(BODIES[path])}\r\n\r\n".encode() + BODIES[path]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(n_connections)]
    begun, n_chunks = cpu_ns(pid), 0
    for _ in range(4):
        selector = selectors.DefaultSelector()
        for connection in sockets:
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select():
                data = cast("socket.socket", key.fileobj).recv(1 << 18)
                n_chunks += data.count(b'"choices":[{"')
                if not data or data.endswith(b"0\r\n\r\n"):
                    selector.unregister(key.fileobj)
    for connection in sockets:
        connection.close()
    assert n_chunks > 0, "the server streamed nothing"
    return (cpu_ns(pid) - begun) / n_chunks / 1000


def measure(n_rounds: int, n_deltas: int, n_connections: int) -> dict[str, list[float]]:
    servers = {}
    for kind in ("raw", "longscroll"):
        command = [sys.executable, __file__, "--serve", kind, "--deltas", str(n_deltas)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        servers[kind] = (process, int(process.stdout.readline()))
    time.sleep(1)
    costs: dict[str, list[float]] = {name: [] for name, _, _ in ROWS}
    try:
        for round_number in range(n_rounds + 1):
            for name, kind, path in ROWS:
                process, port = servers[kind]
                cost = window(process.pid, port, path, n_connections=n_connections)
                if round_number:  # the first round warms up
                    costs[name].append(cost)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait()
    return costs


def report(costs: dict[str, list[float]], n_rounds: int, n_deltas: int, n_connections: int) -> None:
    print(f"{n_rounds} rounds, {n_connections} connections, {n_deltas} deltas a stream, one delta a turn of the loop")
    versions = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "msgspec"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}, {versions}")
    print(f"\n| {'':18} | CPU us/chunk | raw / this (range) |\n|{'-' * 20}|{'-' * 14}|{'-' * 20}|")
    for position, (name, _, _) in enumerate(ROWS):
        values, raw = costs[name], costs[ROWS[position // 2 * 2][0]]
        ratios = [base / value for base, value in zip(raw, values, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"| {name:18} | {statistics.median(values):12.2f} | {spread:18} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--deltas", type=int, default=400)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--serve", choices=("raw", "longscroll"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.deltas)
        return
    report(
        measure(arguments.rounds, arguments.deltas, arguments.connections),
        arguments.rounds,
        arguments.deltas,
        arguments.connections,
    )


if __name__ == "__main__":
    main()
