"""The wire surfaces on a real uvicorn server in a thread, over scripted answers and memory stores; raw sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Self, cast

import uvicorn
from msgspec import Struct

from factories.access import make_administration
from factories.answers import ScriptedAnswers
from factories.batches import make_batch_service
from factories.vectors import Ruler, make_vector_service, vector_models
from longscroll.access.base import DEFAULT_WORKSPACE, SCOPES, Principal
from longscroll.documents.ingest import Ingest
from longscroll.engines.base import Engine
from longscroll.errors import Unauthenticated
from longscroll.protocols.asgi import Application
from longscroll.protocols.connection import GuardedConnection
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services
from longscroll.services.files import FileOptions, FileService
from longscroll.services.in_use import FilesInUse
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.usage import UsageReports
from longscroll.storage.base import Outcome
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryUsage
from longscroll.tokens import load_counter
from longscroll.types import FileStatus, Progress, Readable

KEY = "sk-test"
READER_KEY = "sk-reader"
NARROW_KEY = "sk-narrow"
FOREIGN_KEY = "sk-foreign"
OPERATOR_KEY = "sk-operator"
REQUEST_ID = "5b0a4c1e-6d1f-4f0e-9a55-2f9a2f1f9c10"
NOON = datetime.fromtimestamp(1764500000, UTC)

PRINCIPALS = {
    KEY: Principal(workspace="acme", key_id="key-1", scopes=frozenset(SCOPES)),
    READER_KEY: Principal(workspace="acme", key_id="key-2", scopes=frozenset({"files:read"})),
    NARROW_KEY: Principal(
        workspace="acme", key_id="key-3", scopes=frozenset({"chat"}), models=frozenset({"other-model"})
    ),
    OPERATOR_KEY: Principal(workspace=DEFAULT_WORKSPACE, key_id="key-5", scopes=frozenset({"admin"})),
    FOREIGN_KEY: Principal(workspace="other", key_id="key-4", scopes=frozenset(SCOPES)),
}

FAST = ProtocolOptions(first_heartbeat_s=0.15, heartbeat_s=0.1, body_silence_s=0.5, max_body_bytes=1 << 20)
"""Times that a test can wait for."""


class StillIngest:
    """An ingestion that never takes a file: uploads stay ``uploaded`` until a test says otherwise."""

    def notify(self) -> None:
        """Take notice of an upload."""

    async def cancel(self, workspace: str, file_id: str) -> None:
        """Take notice of a deletion."""

    def progress(self, workspace: str, file_id: str) -> Progress | None:
        """Return what every file shows while it is parsed."""
        readable = Readable(n_done=2, n_tokens=700)
        return Progress(
            stage="parsing", file_id=file_id, n_done=3, n_total=12, per_s=1.48, left_s=6.08, readable=readable
        )


class WireFiles(FileService):
    """Files whose text is fixed, so that no artifact is needed."""

    async def content(self, workspace: str, file_id: str) -> AsyncGenerator[bytes, None]:
        """Return two pieces of text for every file there is."""
        await self.get(workspace, file_id)

        async def text() -> AsyncGenerator[bytes, None]:
            yield "第一页\n".encode()
            yield "第二页\n".encode()

        return text()


async def authenticate(authorization: str | None) -> Principal:
    """Know the keys of the tests."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or key.strip() not in PRINCIPALS:
        raise Unauthenticated("Invalid API-key provided.")
    return PRINCIPALS[key.strip()]


def make_catalog(*others: Model) -> ModelCatalog:
    """Return the models of the tests: three that answer, one without weights, and ``others``."""
    engine = cast("Engine", object())
    models = [
        Model(name=name, aliases=aliases, engine=engine, served_name=name, citations="annotations")
        for name, aliases in (("qwen-long", ("qwen-long-latest",)), ("other-model", ()), ("org/model", ()))
    ]
    chatyuan = Model(
        name="chatyuan-large-v2", aliases=(), engine=None, served_name="chatyuan-large-v2", citations="off"
    )
    return ModelCatalog([*models, chatyuan, *others], created=1700000000)


class Reply(Struct, frozen=True):
    """A whole response as it stood on the wire; the body is without chunk framing."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A raw socket to the server; as a context manager it is closed at the end."""

    def __init__(self, port: int, *, buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def receive_until(self, end: bytes) -> bytes:
        """Read through the next ``end`` and return everything up to and with it."""
        while end not in self._received:
            data = self.socket.recv(65536)
            assert data, f"the server closed the connection after {self._received!r}"
            self._received += data
        head, _, self._received = self._received.partition(end)
        return head + end

    def receive(self) -> Reply:
        """Read one whole response."""
        lines = self.receive_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        status = int(lines[0].split(" ")[1])
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, self._receive_chunks())
        return Reply(status, headers, self._receive_exactly(int(headers.get("content-length", "0"))))

    def is_closed_by_server(self) -> bool:
        """Whether the server ends the connection now, without another byte."""
        return not self._received and self.socket.recv(65536) == b""

    def receive_rest(self) -> bytes:
        """Read what comes until the server closes the connection."""
        rest = b""
        while data := self.socket.recv(1 << 20):
            rest += data
        return rest

    def _receive_chunks(self) -> bytes:
        body = b""
        while size := int(self.receive_until(b"\r\n"), 16):
            body += self._receive_exactly(size)
            self._receive_exactly(2)
        self._receive_exactly(2)
        return body

    def _receive_exactly(self, n_bytes: int) -> bytes:
        while len(self._received) < n_bytes:
            data = self.socket.recv(65536)
            assert data, "the server closed the connection inside a body"
            self._received += data
        body, self._received = self._received[:n_bytes], self._received[n_bytes:]
        return body


class WireService:
    """The running server, what it was asked, and connections to it."""

    def __init__(
        self,
        port: int,
        answers: ScriptedAnswers,
        files: WireFiles,
        loop: asyncio.AbstractEventLoop,
        *,
        ruler: Ruler,
        usage: MemoryUsage,
    ) -> None:
        """Know the server at ``port``; ``ruler`` stands behind its models that measure, ``usage`` is what they used."""
        self.port = port
        self.answers = answers
        self.ruler = ruler
        self.usage = usage
        self._files = files
        self._loop = loop

    def connect(self, *, buffer_bytes: int | None = None) -> Connection:
        """Open a connection; ``buffer_bytes`` is about what the kernel takes for a client that does not read."""
        return Connection(self.port, buffer_bytes=buffer_bytes)

    def exchange(self, method: str, path: str, body: bytes = b"", *headers: str, key: str | None = KEY) -> Reply:
        """Send one request on a connection of its own and read the response."""
        with self.connect() as connection:
            connection.send(request(method, path, body, *headers, key=key))
            return connection.receive()

    def process(self, file_id: str, **outcome: object) -> None:
        """Bring a file of the first workspace to its final state, as a parser would."""

        async def publish() -> None:
            store = cast("MemoryFiles", self._files.files)
            while (claim := await store.claim("test", now=datetime.now(UTC), lease_s=60)) is not None:
                if claim.file.id == file_id:
                    await store.publish(claim, Outcome(**({"status": FileStatus.PROCESSED} | outcome)))  # type: ignore[arg-type]
                    return

        asyncio.run_coroutine_threadsafe(publish(), self._loop).result(5)


def request(method: str, path: str, body: bytes = b"", *headers: str, key: str | None = KEY) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def eventually(condition: Callable[[], bool], *, within_s: float = 1.0) -> bool:
    """Return whether something becomes true in time."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


@contextmanager
def wire_service(options: ProtocolOptions = FAST, file_options: FileOptions | None = None) -> Iterator[WireService]:
    """Serve the wire surfaces on a free port."""
    answers = ScriptedAnswers()
    files = WireFiles(
        MemoryFiles(),
        MemoryBlobs(),
        cast("Ingest", StillIngest()),
        file_options or FileOptions(max_file_bytes=1 << 20),
        now=lambda: NOON,
        in_use=FilesInUse(),
    )
    ruler, usage, counter = Ruler(), MemoryUsage(), load_counter()
    catalog = make_catalog(*vector_models(ruler))
    loops: list[asyncio.AbstractEventLoop] = []

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        loops.append(asyncio.get_running_loop())
        yield Services(
            authenticate=authenticate,
            answer=answers.answer,
            files=files,
            batches=make_batch_service(files),
            catalog=catalog,
            keys=make_administration(NOON),
            usage=UsageReports(usage, clock=lambda: NOON),
            vectors=make_vector_service(catalog, usage=usage, counter=counter),
            counter=counter,
        )

    try:
        with serving(services, options) as port:
            yield WireService(port, answers, files, loops[0], ruler=ruler, usage=usage)
    finally:
        files.close()


@contextmanager
def serving(services: Callable[[], AbstractAsyncContextManager[Services]], options: ProtocolOptions) -> Iterator[int]:
    """Serve the wire surfaces over ``services`` in a thread; yields the port."""
    application = Application(services, options=options, clock=lambda: NOON, new_id=lambda: REQUEST_ID)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            port=0,
            loop="uvloop",
            http=GuardedConnection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=300,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert eventually(lambda: server.started, within_s=5)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
