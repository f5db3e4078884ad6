from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from factories.access import make_administration
from factories.answers import ScriptedAnswers
from factories.batches import make_batch_service
from factories.vectors import make_vector_service
from factories.wire import KEY, NOON, REQUEST_ID, authenticate, make_catalog
from longscroll.errors import StartupError
from longscroll.protocols.asgi import Application
from longscroll.protocols.exchange import AsgiMessage
from longscroll.protocols.routes import Services
from longscroll.services.files import FileService
from longscroll.services.usage import UsageReports
from longscroll.storage.memory import MemoryUsage
from longscroll.tokens import EstimatedCounter
from longscroll.types import File


class StuckFiles:
    """Files that are never found, however long one waits."""

    def __init__(self) -> None:
        self.n_cancelled = 0

    async def get(self, workspace: str, file_id: str) -> File:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        raise AssertionError


class Exchange:
    """One request in process: a client that may leave, and what it was sent."""

    def __init__(self, application: Application, method: str, path: str, body: bytes = b"") -> None:
        self.sent: list[AsgiMessage] = []
        self.has_left = asyncio.Event()
        self.can_read = asyncio.Event()
        self.can_read.set()
        self._body: bytes | None = body
        headers = [(b"authorization", f"Bearer {KEY}".encode())]
        scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": headers}
        self.task = asyncio.create_task(application(scope, self._receive, self._send))

    async def _receive(self) -> AsgiMessage:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: AsgiMessage) -> None:
        await self.can_read.wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status


@asynccontextmanager
async def running(
    files: StuckFiles, *, is_healthy: Callable[[], bool] = lambda: True, drain: Callable[[], None] = lambda: None
) -> AsyncIterator[Application]:
    """Take an application through its whole life."""

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield Services(
            authenticate=authenticate,
            answer=ScriptedAnswers().answer,
            files=cast("FileService", files),
            batches=make_batch_service(cast("FileService", files)),
            catalog=make_catalog(),
            keys=make_administration(),
            usage=UsageReports(MemoryUsage(), clock=lambda: NOON),
            vectors=make_vector_service(make_catalog()),
            counter=EstimatedCounter(),
            is_healthy=is_healthy,
            drain=drain,
        )

    application = Application(services, clock=lambda: NOON, new_id=lambda: REQUEST_ID)
    async with lifespan(application) as sent:
        assert await sent() == {"type": "lifespan.startup.complete"}
        yield application


@asynccontextmanager
async def lifespan(application: Application) -> AsyncIterator[Callable[[], Any]]:
    received: asyncio.Queue[AsgiMessage] = asyncio.Queue()
    sent: asyncio.Queue[AsgiMessage] = asyncio.Queue()
    task = asyncio.create_task(application({"type": "lifespan"}, received.get, sent.put))
    received.put_nowait({"type": "lifespan.startup"})
    yield sent.get
    received.put_nowait({"type": "lifespan.shutdown"})
    await task


@pytest.mark.item(46)
async def test_a_request_without_a_body_is_cancelled_too_when_its_client_leaves() -> None:
    files = StuckFiles()
    async with running(files) as application:
        exchange = Exchange(application, "GET", "/v1/files/file-fe-1")
        await asyncio.sleep(0.001)
        exchange.has_left.set()
        await exchange.task
    assert (files.n_cancelled, exchange.sent) == (1, [])


async def test_a_client_that_leaves_while_it_is_told_of_an_error_is_no_error() -> None:
    async with running(StuckFiles()) as application:
        exchange = Exchange(application, "GET", "/v1/models/nothing")
        exchange.can_read.clear()
        await asyncio.sleep(0.001)
        exchange.has_left.set()
        await asyncio.sleep(0.001)
        exchange.can_read.set()
        await exchange.task
    assert exchange.status == 404


async def test_a_server_that_stops_by_force_says_so() -> None:
    async with running(StuckFiles()) as application:
        exchange = Exchange(application, "GET", "/v1/files/file-fe-1")
        await asyncio.sleep(0.001)
        exchange.task.cancel()
        await exchange.task
    message = "Model is unavailable, please try again later. The service is restarting."
    assert (exchange.status, json.loads(exchange.sent[1]["body"])["error"]["message"]) == (503, message)


@pytest.mark.item(15)
async def test_a_draining_service_is_alive_but_not_ready() -> None:
    async with running(StuckFiles()) as application:
        application.drain()
        exchanges = [Exchange(application, "GET", path) for path in ("/healthz", "/readyz")]
        await asyncio.gather(*(exchange.task for exchange in exchanges))
    assert [exchange.status for exchange in exchanges] == [200, 503]


async def test_a_draining_service_is_told_once_to_begin_nothing_of_its_own() -> None:
    told: list[str] = []
    async with running(StuckFiles(), drain=lambda: told.append("drain")) as application:
        assert told == []
        application.drain()
        await application.drained(within_s=60)
    assert told == ["drain"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("GET", "/api/v1/models"), ("PATCH", "/v1/models")]
)
async def test_what_comes_while_a_service_drains_is_refused_and_its_connection_ended(method: str, path: str) -> None:
    async with running(StuckFiles()) as application:
        application.drain()
        exchange = Exchange(application, method, path)
        await exchange.task
    headers = dict(exchange.sent[0]["headers"])
    assert (exchange.status, headers[b"retry-after"], headers[b"connection"]) == (503, b"5", b"close")


async def test_a_drain_lasts_until_the_last_request_has_ended() -> None:
    async with running(StuckFiles()) as application:
        exchange = Exchange(application, "GET", "/v1/files/file-fe-1")
        await asyncio.sleep(0.001)
        draining = asyncio.create_task(application.drained(within_s=60))
        await asyncio.sleep(0.001)
        assert not draining.done()
        exchange.has_left.set()
        await draining
    assert exchange.sent == []


async def test_a_request_that_outlasts_the_drain_is_ended_with_a_word() -> None:
    files = StuckFiles()
    async with running(files) as application:
        exchange = Exchange(application, "GET", "/v1/files/file-fe-1")
        await asyncio.sleep(0.001)
        await application.drained(within_s=0)
    assert (exchange.status, files.n_cancelled) == (503, 1)


async def test_a_client_that_is_being_told_of_the_end_is_not_cut_off_by_a_second_one() -> None:
    async with running(StuckFiles()) as application:
        exchange = Exchange(application, "GET", "/v1/files/file-fe-1")
        exchange.can_read.clear()
        await asyncio.sleep(0.001)
        for _ in range(2):
            application.give_up()
            await asyncio.sleep(0.001)
        exchange.can_read.set()
        await exchange.task
    assert (exchange.status, len(exchange.sent)) == (503, 2)


async def test_a_drain_with_nothing_under_way_is_over_at_once() -> None:
    async with running(StuckFiles()) as application, asyncio.timeout(1):
        await application.drained(within_s=60)


async def test_a_service_whose_readers_cannot_live_is_not_ready() -> None:
    async with running(StuckFiles(), is_healthy=lambda: False) as application:
        exchanges = [Exchange(application, "GET", path) for path in ("/healthz", "/readyz")]
        await asyncio.gather(*(exchange.task for exchange in exchanges))
    assert [exchange.status for exchange in exchanges] == [200, 503]


@asynccontextmanager
async def broken_services() -> AsyncIterator[Services]:
    """Fail as a folder in use does."""
    for error in (StartupError("The folder is in use."),):
        raise error
    yield cast("Services", None)


async def test_services_that_cannot_start_fail_the_start_with_their_words() -> None:
    application = Application(broken_services)
    async with lifespan(application) as sent:
        failed = await sent()
    assert failed["type"] == "lifespan.startup.failed"
    assert str(application.startup_error) == "The folder is in use."


async def test_before_the_services_run_nothing_is_found() -> None:
    exchange = Exchange(Application(broken_services), "GET", "/healthz")
    await exchange.task
    assert exchange.status == 404


async def test_a_web_socket_is_closed() -> None:
    sent: asyncio.Queue[AsgiMessage] = asyncio.Queue()
    application = Application(cast("Any", None))
    await application({"type": "websocket"}, cast("Any", None), sent.put)
    assert sent.get_nowait()["type"] == "websocket.close"
