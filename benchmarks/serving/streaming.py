"""CPU per streamed chunk, with keys, limits, metering, metrics and log lines on, against raw ASGI on the same uvicorn.

    python benchmarks/serving/streaming.py [--rounds 7] [--deltas 400] [--connections 8] [--quick]

All servers run the same source, one delta per turn of the loop, and render the same template. Raw ASGI is the least
that can be written: no key, no watcher, no comment frames, one ``send`` per chunk. The boundary is all that HTTP is to
the service: a stored key, limits, a meter that writes its durable row, and the stream; it is what the floor is for. The
whole service has in between what makes a chat of the source: tokens counted in every delta, stops, citations.
Windows are interleaved; CPU is that of all threads of the server process, from schedstat; the table shows medians and
the range of the paired ratios.
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
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn

from longscroll.access.keys import Keys
from longscroll.access.limits import LimitOptions, Limits
from longscroll.access.metering import Metering
from longscroll.documents.ingest import Ingest
from longscroll.engines.base import Ability, EngineEvent, EngineFinish, Prompt, Text
from longscroll.protocols.answers import Answering
from longscroll.protocols.asgi import Application
from longscroll.protocols.connection import GuardedConnection
from longscroll.protocols.encoding import escape
from longscroll.protocols.routes import Services
from longscroll.reading.pool import Readers
from longscroll.reading.reader import Reader
from longscroll.services.chat import ChatOptions, ChatService
from longscroll.services.in_use import FilesInUse
from longscroll.services.models import Model, ModelCatalog
from longscroll.storage.base import BlobStore, UsageRecord
from longscroll.storage.database import Database
from longscroll.storage.memory import MemoryFiles, MemoryKeys
from longscroll.telemetry import configure_logging
from longscroll.telemetry.journal import Journal
from longscroll.telemetry.metrics import Metrics
from longscroll.tokens import load_counter
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Usage

KEY = "sk-benchmark"
CHAT = "/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
BODIES = {
    CHAT: b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}],"stream":true}',
    GENERATION: b'{"model":"qwen-long","input":{"prompt":"hi"},"parameters":{"incremental_output":true}}',
}
PIECE = "piece "
N_INPUT = 5
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
KINDS = ("raw", "boundary", "whole")
ROWS = (
    ("raw ASGI, compat", "raw", CHAT),
    ("boundary, compat", "boundary", CHAT),
    ("whole service, compat", "whole", CHAT),
    ("raw ASGI, native", "raw", GENERATION),
    ("boundary, native", "boundary", GENERATION),
    ("whole service, native", "whole", GENERATION),
)
"""Each surface beside the raw server that renders its frames."""
FLOOR = 0.8
nobody: Any = object()
"""Stands where these requests never come."""


def now() -> datetime:
    return datetime.now(UTC)


async def source(n_deltas: int) -> AsyncGenerator[ChatEvent, None]:
    for n in range(1, n_deltas + 1):
        await asyncio.sleep(0)
        yield Delta(text=PIECE, n_input_tokens=N_INPUT, n_output_tokens=n)
    yield finish(n_deltas)


def finish(n_deltas: int) -> Finish:
    return Finish(
        reason="stop", usage=Usage(n_input_tokens=N_INPUT, n_output_tokens=n_deltas), model_served="qwen-long"
    )


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


class Source:
    """The source as an engine."""

    context_window: int | None = 32_768
    writes_marks = True
    abilities: frozenset[Ability] = frozenset()

    def __init__(self, n_deltas: int) -> None:
        """Say so many deltas to each question."""
        self._n_deltas = n_deltas

    async def generate(self, _prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        """Write the answer, whatever the question."""
        for _ in range(self._n_deltas):
            await asyncio.sleep(0)
            yield Text(PIECE)
        yield EngineFinish()


def metered(metering: Metering, n_deltas: int) -> Answering:
    """Return the source with its meter, which is told what the chat service tells it, and nothing else."""

    async def answer(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        record = UsageRecord(
            request_id=request.request_id,
            workspace=request.workspace,
            key_id=request.key_id,
            model=request.model,
            model_served=request.model,
            operation="chat",
            surface=request.surface,
            is_streamed=request.is_streamed,
            n_input=N_INPUT,
            at=metering.clock(),
        )
        n = 0
        async with metering.begin(record, limited_as=request.model, count=lambda: n) as meter:
            for n in range(1, n_deltas + 1):
                await asyncio.sleep(0)
                meter.began()
                yield Delta(text=PIECE, n_input_tokens=N_INPUT, n_output_tokens=n)
            last = finish(n_deltas)
            await meter.finish(last.usage)
            yield last

    return answer


def whole(metering: Metering, catalog: ModelCatalog) -> Answering:
    """Return the chat service, which counts tokens and reads (here there is nothing to read) before it writes."""
    counter = load_counter()
    return ChatService(
        catalog=catalog,
        files=MemoryFiles(),
        blobs=cast("BlobStore", nobody),
        ingest=cast("Ingest", nobody),
        reader=Reader(cast("Readers", nobody), counter),
        counter=counter,
        options=ChatOptions(),
        in_use=FilesInUse(),
        metering=metering,
    ).answer


def real_application(kind: str, n_deltas: int) -> Application:
    """Return the boundary over a stored key, limits that hold nobody up, and durable rows of usage."""
    metrics = Metrics()
    journal = Journal(metrics)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        keys = Keys(MemoryKeys(), b"p" * 32, clock=now)
        await keys.adopt(KEY, "default", name="benchmark")
        model = Model(name="qwen-long", aliases=(), engine=Source(n_deltas), served_name="qwen-long", citations="off")
        catalog = ModelCatalog([model], created=0)
        limits = Limits([LimitOptions(requests_per_minute=10**8, tokens_per_minute=10**11, concurrent_requests=10**5)])
        with TemporaryDirectory() as folder:
            async with Database(Path(folder) / "longscroll.db") as database:
                metering = Metering(database.usage, limits, observers=(journal.answered,), clock=now)
                yield Services(
                    authenticate=keys.authenticate,
                    answer=metered(metering, n_deltas) if kind == "boundary" else whole(metering, catalog),
                    catalog=catalog,
                    limits=limits,
                    **dict.fromkeys(("files", "batches", "keys", "usage", "vectors", "counter"), nobody),
                )
                await metering.close()

    return Application(services, journal=journal)


def serve(kind: str, n_deltas: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    if kind != "raw":
        configure_logging(as_json=True)
    application: Any = raw_application(n_deltas) if kind == "raw" else real_application(kind, n_deltas)
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
    for kind in KINDS:
        command = [sys.executable, __file__, "--serve", kind, "--deltas", str(n_deltas)]
        with tempfile.TemporaryFile() as log:  # of its lines; a file, as a service has it
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
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
    print(f"\n| {'':22} | CPU us/chunk | raw / this (range) | floor {FLOOR} |\n|{'---|' * 4}")
    for position, (name, kind, _) in enumerate(ROWS):
        values, raw = costs[name], costs[ROWS[position // len(KINDS) * len(KINDS)][0]]
        ratios = [base / value for base, value in zip(raw, values, strict=True)]
        ratio = statistics.median(ratios)
        spread = f"{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        verdict = "" if kind == "raw" else "met" if ratio >= FLOOR else "MISSED"
        print(f"| {name:22} | {statistics.median(values):12.2f} | {spread:18} | {verdict} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--deltas", type=int, default=400)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.deltas)
        return
    n_rounds = 2 if arguments.quick else arguments.rounds
    costs = measure(n_rounds, arguments.deltas, arguments.connections)
    report(costs, n_rounds, arguments.deltas, arguments.connections)


if __name__ == "__main__":
    main()
