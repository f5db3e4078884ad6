"""Pages of other origins: nothing for them unless the operator names them; then what their browsers ask for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from factories.wire import FAST, Reply, WireService, wire_service

PAGE = "https://app.example"
CHAT = "/compatible-mode/v1/chat/completions"
ASKS = (f"Origin: {PAGE}", "Access-Control-Request-Method: POST")
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}],"stream":true}'


@pytest.fixture(scope="module")
def open_service() -> Iterator[WireService]:
    with wire_service(msgspec.structs.replace(FAST, cors_origins=(PAGE, "http://localhost:5173"))) as service:
        yield service


def allowances(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control") or name == "vary"}


@pytest.mark.item(128)
def test_by_default_no_page_is_allowed_anything(service: WireService) -> None:
    asked = service.exchange("OPTIONS", CHAT, b"", *ASKS, key=None)
    called = service.exchange("POST", CHAT, HELLO, f"Origin: {PAGE}")
    assert (asked.status, called.status) == (401, 200)
    assert (allowances(asked), allowances(called)) == ({}, {})


@pytest.mark.item(128)
def test_a_browser_may_ask_without_a_key(open_service: WireService) -> None:
    wanted = "Access-Control-Request-Headers: authorization,content-type,x-stainless-lang"
    reply = open_service.exchange("OPTIONS", CHAT, b"", *ASKS, wanted, key=None)
    assert (reply.status, reply.body) == (200, b"")
    assert allowances(reply) == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
        "access-control-expose-headers": "X-Request-Id, Retry-After, Req-Cost-Time",
        "access-control-max-age": "600",
        "vary": "Origin",
    }


@pytest.mark.item(128)
@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [(CHAT, HELLO, "sk-test", 200), (CHAT, b"{}", "sk-test", 400), (CHAT, b"", "x", 401)],
)
def test_every_reply_may_be_read(open_service: WireService, path: str, body: bytes, key: str, status: int) -> None:
    reply = open_service.exchange("POST", path, body, f"Origin: {PAGE}", key=key)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, PAGE)


@pytest.mark.item(128)
def test_another_page_is_told_nothing(open_service: WireService) -> None:
    stranger = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    asked = open_service.exchange("OPTIONS", CHAT, b"", *stranger, key=None)
    called = open_service.exchange("POST", CHAT, HELLO, stranger[0])
    assert (asked.status, called.status) == (401, 200)
    assert (allowances(asked), allowances(called)) == ({"vary": "Origin"}, {"vary": "Origin"})


@pytest.mark.item(15, 128)
def test_what_is_no_question_of_a_browser_needs_a_key(open_service: WireService) -> None:
    assert open_service.exchange("OPTIONS", CHAT, b"", f"Origin: {PAGE}", key=None).status == 401
    assert open_service.exchange("OPTIONS", "/v1/nothing", b"", *ASKS, key=None).status == 404


@pytest.mark.item(128)
def test_all_pages_can_be_allowed() -> None:
    with wire_service(msgspec.structs.replace(FAST, cors_origins=("*",))) as service:
        reply = service.exchange("OPTIONS", CHAT, b"", *ASKS, "Access-Control-Request-Headers: (", key=None)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-headers" not in reply.headers
