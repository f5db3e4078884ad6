"""What operators and their programs ask of the service itself: whether it lives, is ready, and its numbers.

Health and readiness are open, as supervisors have no key. Numbers are for keys with the right to administer: an
operator sees everything, any other workspace what is its own. Knows no number itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from longscroll.protocols.exchange import Reply, Request, Route, json_reply
from longscroll.telemetry.metrics import Exposition

Exposing = Callable[[str | None, str], Awaitable[Exposition]]
"""Returns what a workspace, or None for everything, may see, in a format of an ``Accept`` header."""


class Status(Struct, frozen=True):
    """The reply of the two endpoints for supervisors."""

    status: str


def operation_routes(is_ready: Callable[[], bool], expose: Exposing) -> Iterable[Route]:
    """Return the rows of these endpoints."""

    async def health(_request: Request) -> Reply:
        """Say that the process lives."""
        return json_reply(Status("ok"))

    async def readiness(_request: Request) -> Reply:
        """Say whether new work is welcome."""
        return json_reply(Status("ready")) if is_ready() else json_reply(Status("not ready"), status=503)

    async def metrics(request: Request) -> Reply:
        """Return the numbers that the caller may see, for Prometheus."""
        caller = request.principal
        workspace = None if caller.is_operator else caller.workspace
        exposition = await expose(workspace, request.header(b"accept") or "")
        return Reply(body=exposition.text, content_type=exposition.content_type)

    yield Route(method="GET", path="/healthz", scope=None, handler=health, response=Status, is_open=True)
    yield Route(method="GET", path="/readyz", scope=None, handler=readiness, response=Status, is_open=True)
    formats = ("text/plain", "application/openmetrics-text")
    yield Route(method="GET", path="/metrics", scope="admin", handler=metrics, response=str, content_types=formats)


async def nothing_to_expose(_workspace: str | None, _accept: str) -> Exposition:
    """Expose nothing: for a service without numbers."""
    return Exposition("text/plain", b"")
