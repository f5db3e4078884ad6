"""The wire surfaces over the whole service in one process, whose parser, readers and engine a test can hold up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from factories.access import make_administration
from factories.batches import make_batch_service
from factories.service import LocalService, local_service
from factories.storage import NOON
from factories.vectors import make_vector_service
from factories.wire import FAST, KEY, Connection, authenticate, serving
from longscroll.engines.scripted import Rule, Scripted
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services
from longscroll.services.usage import UsageReports
from longscroll.tokens import EstimatedCounter
from longscroll.types import ChatEvent, ChatRequest, File

SLOW_ENGINE = (Rule(deltas=("one ", "two "), pace_s=60),)


class HeldService:
    """A running service; its parts are touched from its own thread only, save for counters."""

    def __init__(self, service: LocalService, engine: Scripted, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.readers = service.readers
        self.port = 0
        self.key = KEY
        self.n_asked = 0
        self.n_answering = 0  # chats that are not closed yet
        self._service = service
        self._loop = loop

    @property
    def url(self) -> str:
        """The address that clients are pointed at."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> Connection:
        """Open a connection."""
        return Connection(self.port)

    def hold_readers(self) -> None:
        """Let no question be read from now on."""
        self._loop.call_soon_threadsafe(self._service.readers.gate.clear)

    def release(self) -> None:
        """Let parser and readers go on."""
        for gate in (self._service.parsers.gate, self._service.readers.gate):
            self._loop.call_soon_threadsafe(gate.set)

    def parsed(self, text: str) -> str:
        """Upload a text, wait until it is parsed and return its id."""
        return self._do(self._service.parsed(text)).id

    def being_parsed(self, text: str, *, beginning: str | None = None) -> str:
        """Upload a text whose parse is held up and return its id; its ``beginning`` can be read."""
        return self._do(self._service.being_parsed(text, beginning=beginning)).id

    def _do(self, work: Coroutine[Any, Any, File]) -> File:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Answer a chat, and count it while it runs."""
        self.n_asked += 1
        self.n_answering += 1
        try:
            async with aclosing(self._service.chat.answer(request)) as events:
                async for event in events:
                    yield event
        finally:
            self.n_answering -= 1


@contextmanager
def held_service(options: ProtocolOptions = FAST) -> Iterator[HeldService]:
    """Serve both surfaces; ``qwen-long`` quotes, ``scripted`` begins an answer and takes a minute for its next word."""
    running: list[HeldService] = []
    is_entered = threading.Event()

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        engine = Scripted(SLOW_ENGINE)
        async with local_service(engine=engine) as service:
            held = HeldService(service, engine, asyncio.get_running_loop())
            running.append(held)
            is_entered.set()
            yield Services(
                authenticate=authenticate,
                answer=held.answer,
                files=service.files,
                batches=make_batch_service(service.files),
                catalog=service.catalog,
                keys=make_administration(),
                usage=UsageReports(service.usage, clock=lambda: NOON),
                vectors=make_vector_service(service.catalog),
                counter=EstimatedCounter(),
            )

    with serving(services, options) as port:
        assert is_entered.wait(5)
        running[0].port = port
        try:
            yield running[0]
        finally:
            running[0].release()
