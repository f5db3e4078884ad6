"""The boundary between HTTP and everything else: one dispatcher and one place where errors end.

Owns the order of checks (path, key, method, right, then the handler), request ids and the life of the services. Knows
no field of any surface: the route table says where a request goes, a surface says how an error reads.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import structlog
from msgspec.structs import replace

from longscroll.errors import (
    AccessDenied,
    LongscrollError,
    MethodNotSupported,
    ModelUnavailable,
    PathNotFound,
    RequestError,
    StartupError,
)
from longscroll.protocols.delivery import Outlet, Watcher
from longscroll.protocols.exchange import Answer, AsgiMessage, AsgiScope, Receive, Reply, Request, Send, Surface
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.paths import RouteTable, Segments, path_segments
from longscroll.protocols.routes import SURFACES, Services, build_routes

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
    ) -> None:
        self.startup_error: StartupError | None = None
        self._enter_services = services
        self.options = options or ProtocolOptions()
        self._clock = clock
        self._new_id = new_id
        self._services: Services | None = None
        self._table = RouteTable(())
        self._is_draining = False

    def drain(self) -> None:
        """Say at ``/readyz`` that no new work should come; running requests go on. Safe to call from a signal."""
        self._is_draining = True

    def refuse_unread(self, target: bytes, error: RequestError) -> Reply:
        """Return the refusal of what never became a request; ``target``: as much of its address as came."""
        scope = {"method": "", "path": "", "raw_path": target.partition(b"?")[0], "query_string": b"", "headers": ()}
        request = Request(scope, _nothing, request_id=self._new_id(), received_at=self._clock(), options=self.options)
        reply = _surface_of(path_segments(scope)).refuse(request, error)
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
        surface = _surface_of(segments)
        outlet = Outlet(send, request, self.options)
        watcher = Watcher(receive, lambda: outlet.is_ending)
        try:
            await outlet.deliver(await self._answer(request, segments, watcher))
        except LongscrollError as error:
            status = await outlet.refuse(surface, error)
            if status >= 500:
                _log.warning("request failed", request_id=request.id, status=status, error=repr(error))
        except asyncio.CancelledError:
            if not watcher.client_left:  # the server stops by force
                await outlet.refuse(surface, ModelUnavailable("The service is restarting."))
        except Exception as error:  # noqa: BLE001 - the one place where what nobody foresaw becomes a 500
            _log.exception("request failed", request_id=request.id, method=request.method)
            await outlet.refuse(surface, error)
        finally:
            watcher.stop()

    async def _answer(self, request: Request, segments: Segments, watcher: Watcher) -> Answer:
        """Check what can be checked without the body, then ask the handler."""
        found = self._table.find(segments)
        if found is None or self._services is None:
            raise PathNotFound("Not found!")
        methods, request.arguments = found
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None or not route.is_open:
            request.principal = await self._services.authenticate(request.header(b"authorization"))
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


async def _nothing() -> AsgiMessage:
    return {"type": "http.disconnect"}


def _surface_of(segments: Segments) -> Surface:
    root = segments[0] if segments else ""
    return next(surface for surface in SURFACES if root in surface.roots or not surface.roots)
