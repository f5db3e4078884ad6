"""The boundary between HTTP and everything else: one dispatcher and one place where errors end.

Owns the order of checks (path, key, workspace, method, right, then the handler), request ids, the life of the services
and its end: what runs may finish, what comes then is refused. Knows no field of any surface: the route table says where
a request goes, a surface says how an error reads.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import cast

import structlog
from msgspec.structs import replace

from longscroll.errors import (
    AccessDenied,
    ConnectionCut,
    LongscrollError,
    MethodNotSupported,
    ModelUnavailable,
    PathNotFound,
    RequestError,
    RequestTimeout,
    StartupError,
    UploadAborted,
    WorkspaceNotFound,
)
from longscroll.protocols.cors import preflight
from longscroll.protocols.delivery import Outlet, Watcher
from longscroll.protocols.exchange import Answer, AsgiMessage, AsgiScope, Receive, Reply, Request, Send
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.paths import RouteTable, Segments, path_segments
from longscroll.protocols.routes import Services, build_routes, surface_of
from longscroll.telemetry.journal import Journal, Response
from longscroll.telemetry.metrics import CLIENT_LEFT, Metrics

RESTARTING = "The service is restarting."
DISCARD_S = 2.0
"""How long the body of a refused request is read and dropped; closing at once would reset the refusal away."""
LAST_WORDS_S = 0.5
"""How long a request that is ended may take to tell its client."""

_log = structlog.get_logger(__name__)


def _new_request_id() -> str:
    return str(uuid.uuid4())


def _now() -> datetime:
    return datetime.now(UTC)


class Application:
    """The ASGI callable. ``services`` is entered when the server starts and left when it has stopped."""

    def __init__(
        self,
        services: Callable[[], AbstractAsyncContextManager[Services]],
        *,
        options: ProtocolOptions | None = None,
        clock: Callable[[], datetime] = _now,
        new_id: Callable[[], str] = _new_request_id,
        journal: Journal | None = None,
    ) -> None:
        self.startup_error: StartupError | None = None
        self._enter_services = services
        self.options = options or ProtocolOptions()
        self._clock = clock
        self._new_id = new_id
        self._journal = journal or Journal(Metrics())
        self._services: Services | None = None
        self._table = RouteTable(())
        self._is_draining = False
        self._has_given_up = False
        self._running: set[asyncio.Task[None]] = set()
        self._is_idle = asyncio.Event()

    def drain(self) -> None:
        """Say at ``/readyz`` that no new work should come, and refuse what comes; running requests go on."""
        if not self._is_draining:
            self._is_draining = True
            if self._services is not None:
                self._services.drain()
            if not self._running:
                self._is_idle.set()

    async def drained(self, *, within_s: float) -> None:
        """Drain, and wait until no request runs; those that still do at the end are told that the service restarts."""
        self.drain()
        try:
            async with asyncio.timeout(within_s):
                await self._is_idle.wait()
        except TimeoutError:
            self.give_up()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await self._is_idle.wait()

    def give_up(self) -> None:
        """End every running request; its client is told, by the error event of a stream that has begun."""
        if not self._has_given_up:  # a second time would cut off what the client is being told
            self._has_given_up = True
            for task in self._running:
                task.cancel()

    def refuse_unread(self, target: bytes, error: RequestError) -> Reply:
        """Return the refusal of what never became a request; ``target``: as much of its address as came."""
        scope = {"method": "", "path": "", "raw_path": target.partition(b"?")[0], "query_string": b"", "headers": ()}
        request = Request(scope, _nothing, request_id=self._new_id(), received_at=self._clock(), options=self.options)
        surface = surface_of(path_segments(scope))
        request.surface = surface.name
        reply = surface.refuse(request, error)
        entry = self._journal.begin(request.id)
        entry.error = type(error).__name__
        self._journal.end(entry, _response(request, reply.status))
        return replace(reply, headers=((b"x-request-id", request.id.encode()), *reply.headers))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the server."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self._enter_services() as services:
                self._services = services
                self._table = RouteTable(
                    build_routes(services, self.options, is_ready=lambda: self._is_ready(services))
                )
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except StartupError as error:
            self.startup_error = error
            await send({"type": "lifespan.startup.failed", "message": ""})  # the command says it, in its own words
        else:
            await send({"type": "lifespan.shutdown.complete"})

    def _is_ready(self, services: Services) -> bool:
        return not self._is_draining and services.is_healthy()

    async def _serve(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request; every error ends here, in the words of the surface it came by."""
        request = Request(scope, receive, request_id=self._new_id(), received_at=self._clock(), options=self.options)
        segments = path_segments(scope)
        surface = surface_of(segments)
        request.surface = surface.name
        outlet = Outlet(send, request, self.options)
        watcher = Watcher(receive, lambda: outlet.is_ending)
        served = self._begin()
        entry = self._journal.begin(request.id)
        try:
            await outlet.deliver(await self._answer(request, segments, watcher))
        except ConnectionCut:
            entry.error = ConnectionCut.__name__
            await outlet.break_off()
        except LongscrollError as error:
            request.error, entry.error = error, type(error).__name__
            status = await outlet.refuse(surface, error)
            if status >= 500:
                _log.warning("request failed", request_id=request.id, status=status, error=repr(error))
        except asyncio.CancelledError:
            entry.error = CLIENT_LEFT
            if not watcher.client_left:  # the server stops by force
                entry.error = ModelUnavailable.__name__
                await outlet.refuse(surface, ModelUnavailable(RESTARTING))
        except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw becomes a 500
            entry.error = type(error).__name__
            _log.exception("request failed", request_id=request.id, method=request.method)
            await outlet.refuse(surface, error)
        finally:
            watcher.stop()
            request.end()
            self._end(served)
            self._journal.end(entry, _response(request, outlet.status))

    def _begin(self) -> asyncio.Task[None]:
        served = cast("asyncio.Task[None]", asyncio.current_task())
        self._running.add(served)
        return served

    def _end(self, served: asyncio.Task[None]) -> None:
        self._running.discard(served)
        if self._is_draining and not self._running:
            self._is_idle.set()

    async def _answer(self, request: Request, segments: Segments, watcher: Watcher) -> Answer:
        """Check what can be checked without the body, then ask the handler."""
        found = self._table.find(segments)
        if found is None or self._services is None:
            raise PathNotFound("Not found!")
        methods, request.arguments = found
        request.template = next(iter(methods.values())).path
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if self._is_draining and (route is None or not route.is_open):
            return await self._refuse_new(request, segments)
        if route is None and (reply := preflight(request, self.options, methods)) is not None:
            return reply
        if route is None or not route.is_open:
            request.principal = await self._services.authenticate(request.header(b"authorization"))
            self._check_workspace(request)
        if route is None and request.method == "OPTIONS":
            return Reply(body=b"", headers=((b"allow", ", ".join(methods).encode()),))
        if route is None:
            raise MethodNotSupported(request.method)
        if route.scope is not None and route.scope not in request.principal.scopes:
            raise AccessDenied("Access denied.")
        request.route = route
        if route.request is None:
            watcher.start()
        else:
            request.on_body_end = watcher.start
        return await route.handler(request)

    def _check_workspace(self, request: Request) -> None:
        """Refuse a workspace that is not the key's, where that is wanted, in the words for one that is not there."""
        if self.options.workspace_header == "enforce":
            named = (request.header(b"x-dashscope-workspace") or "").strip()
            if named and named != request.principal.workspace:
                raise WorkspaceNotFound("WorkSpace can not be found.")

    async def _refuse_new(self, request: Request, segments: Segments) -> Reply:
        """Return the refusal of what comes while the service drains, after what of its body comes at once."""
        with suppress(TimeoutError, UploadAborted, RequestTimeout):
            async with asyncio.timeout(DISCARD_S):
                while await request.next_piece() is not None:
                    pass
        reply = surface_of(segments).refuse(request, ModelUnavailable(RESTARTING))
        return replace(reply, headers=(*reply.headers, (b"connection", b"close")))


def _response(request: Request, status: int) -> Response:
    caller = request.caller
    return Response(
        method=request.method,
        route=request.template,
        surface=request.surface,
        status=status,
        workspace=caller.workspace if caller else None,
        key_id=caller.key_id if caller else None,
    )


async def _nothing() -> AsgiMessage:
    return {"type": "http.disconnect"}
