"""A fault that nobody foresaw, in whichever room: 500 in the documented words, and not one of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest

from factories.routes import all_routes
from factories.wire import FAST, KEY, Connection, Reply, authenticate, request, serving
from longscroll.protocols.exchange import Form, Route
from longscroll.protocols.routes import Services

SECRET = "a secret of ours"
WORDS = "An internal error has occured, please try again later or contact service support."
BODY = {
    "model": "qwen-long",
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "hi",
    "input": {"prompt": "hi", "texts": ["hi"], "query": "hi", "documents": ["hi"]},
    "input_file_id": "file-batch-1",
    "endpoint": "/v1/chat/completions",
    "completion_window": "24h",
}
HEAD = "Content-Disposition: form-data; name="
FORM = "".join(f'--x\r\n{HEAD}"{name}"; filename="a"\r\n\r\nhello\r\n' for name in ("file", "files")) + "--x--\r\n"
NO_ROOM = {"/api/v1/tasks", "/api/v1/tasks/{id}", "/api/v1/tasks/{id}/cancel"}
"""Routes that ask nobody."""


class Room:
    """A part of the service in which everything fails."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_arguments: object, **_fields: object) -> NoReturn:
            raise RuntimeError(SECRET)

        return fail


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    room: Any = Room()

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        rooms = {name: room for name in Services.__struct_fields__ if name not in ("authenticate", "director")}
        rooms |= dict.fromkeys(("answer", "is_healthy", "drain", "expose"), room.fail)
        yield Services(authenticate=authenticate, **rooms)

    with serving(services, FAST) as found:
        yield found


def exchange(port: int, route: Route) -> Reply:
    path = route.path.replace("{id}", "1").replace("{name...}", "1")
    body = FORM.encode() if route.request is Form else json.dumps(BODY).encode()
    kind = "multipart/form-data; boundary=x" if route.request is Form else "application/json"
    if route.path.startswith("/admin/"):
        body = b"{}"
    with Connection(port) as connection:
        connection.send(request(route.method, path, body if route.request else b"", f"Content-Type: {kind}", key=KEY))
        return connection.receive()


@pytest.mark.item(6, 83)
@pytest.mark.parametrize(
    "route", [route for route in all_routes() if not route.is_open], ids=lambda route: f"{route.method} {route.path}"
)
def test_a_bug_in_any_room_tells_nothing_of_itself(port: int, route: Route) -> None:
    reply = exchange(port, route)
    assert SECRET.encode() not in reply.body
    body = json.loads(reply.body)
    error = body.get("error", body)
    if route.path not in NO_ROOM:
        code = "InternalError" if route.path.startswith("/api/") else "internal_error"
        assert (reply.status, error["code"], error["message"]) == (500, code, WORDS), reply.body
    assert body["request_id"] == reply.headers["x-request-id"]
