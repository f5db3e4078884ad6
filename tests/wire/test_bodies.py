"""Request bodies as they come over a socket: in chunks, slowly, too large, one behind the other."""

from __future__ import annotations

import json
import time

import pytest

from factories.wire import KEY, WireService, request, wire_service
from longscroll.protocols.options import ProtocolOptions

CHAT = "/compatible-mode/v1/chat/completions"
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}]}'
CHUNKED = (
    f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
)


def content(body: bytes) -> str:
    found: str = json.loads(body)["choices"][0]["message"]["content"]
    return found


@pytest.mark.item(9)
def test_a_chunked_body_is_accepted(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(CHUNKED)
        for start in range(0, len(HELLO), 7):
            piece = HELLO[start : start + 7]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        assert content(connection.receive().body) == "hi"


@pytest.mark.item(9)
def test_a_body_that_comes_byte_by_byte_is_accepted(service: WireService) -> None:
    with service.connect() as connection:
        for byte in request("POST", CHAT, HELLO):
            connection.send(bytes([byte]))
        assert content(connection.receive().body) == "hi"


@pytest.mark.item(14)
@pytest.mark.parametrize("is_announced", [True, False])
def test_a_body_over_the_limit_is_413_and_the_connection_goes_on(service: WireService, *, is_announced: bool) -> None:
    large = b" " * (1 << 20) + HELLO
    head = request("POST", CHAT, large) if is_announced else CHUNKED + b"%x\r\n" % len(large) + large + b"\r\n0\r\n\r\n"
    with service.connect() as connection:
        connection.send(head)
        refused = connection.receive()
        connection.send(request("POST", CHAT, HELLO))
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (413, "BadRequest.TooLarge")
        assert content(connection.receive().body) == "hi"


@pytest.mark.item(14)
def test_a_body_announced_too_large_is_refused_before_it_is_sent(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.receive().status == 413


def test_a_large_body_is_accepted() -> None:
    text = "长" * 1_000_000
    body = HELLO.replace(b"hi", text.encode())
    with wire_service(ProtocolOptions()) as service:
        assert content(service.exchange("POST", CHAT, body).body) == text


def test_a_body_that_stops_coming_is_408(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(request("POST", CHAT, HELLO)[:-5])
        reply = connection.receive()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (408, "request_timeout")


@pytest.mark.item(8)
def test_requests_sent_one_behind_the_other_are_answered_in_order(service: WireService) -> None:
    texts = ["one", "two", "three"]
    with service.connect() as connection:
        connection.send(b"".join(request("POST", CHAT, HELLO.replace(b"hi", text.encode())) for text in texts))
        assert [content(connection.receive().body) for _ in texts] == texts


@pytest.mark.item(8)
def test_a_connection_survives_being_idle(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(request("GET", "/v1/models"))
        first = connection.receive()
        time.sleep(0.3)
        connection.send(request("GET", "/v1/models"))
        assert connection.receive() == first


def test_a_get_with_a_body_is_answered(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(request("GET", "/v1/models", b"x" * 200_000) + request("GET", "/healthz"))
        assert [connection.receive().status, connection.receive().status] == [200, 200]
