from __future__ import annotations

import pytest

from factories.storage import NOON
from longscroll.access.base import Principal
from longscroll.protocols.exchange import AsgiMessage, Reply, Request, Route
from longscroll.protocols.operations import operation_routes
from longscroll.protocols.options import ProtocolOptions
from longscroll.telemetry.metrics import Exposition


class Exposing:
    """Exposes nothing and remembers for whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []

    async def expose(self, workspace: str | None, accept: str) -> Exposition:
        self.asked.append((workspace, accept))
        return Exposition("text/plain", b"numbers")


async def nothing() -> AsgiMessage:
    return {"type": "http.disconnect"}


def rows(exposing: Exposing, *, is_ready: bool = True) -> dict[str, Route]:
    return {route.path: route for route in operation_routes(lambda: is_ready, exposing.expose)}


def make_request(workspace: str, *scopes: str, accept: str = "") -> Request:
    headers = [(b"accept", accept.encode())] if accept else []
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": headers}
    request = Request(scope, nothing, request_id="r", received_at=NOON, options=ProtocolOptions())
    request.principal = Principal(workspace=workspace, key_id="k", scopes=frozenset(scopes))
    return request


def test_only_supervisors_come_in_without_a_key() -> None:
    rights = {path: (route.is_open, route.scope) for path, route in rows(Exposing()).items()}
    assert rights == {"/healthz": (True, None), "/readyz": (True, None), "/metrics": (False, "admin")}


@pytest.mark.parametrize(
    ("workspace", "seen"), [("default", None), ("acme", "acme")], ids=["an operator", "another workspace"]
)
async def test_numbers_are_asked_for_whom_they_concern(workspace: str, seen: str | None) -> None:
    exposing = Exposing()
    reply = await rows(exposing)["/metrics"].handler(make_request(workspace, "admin", accept="text/plain"))
    assert reply == Reply(body=b"numbers", content_type="text/plain")
    assert exposing.asked == [(seen, "text/plain")]


@pytest.mark.parametrize(("is_ready", "status", "body"), [(True, 200, "ready"), (False, 503, "not ready")])
async def test_readiness_is_a_status(is_ready: bool, status: int, body: str) -> None:
    reply = await rows(Exposing(), is_ready=is_ready)["/readyz"].handler(make_request("acme"))
    assert reply == Reply(body=b'{"status":"%b"}' % body.encode(), status=status)
