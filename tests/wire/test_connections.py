"""What comes over a socket before it is a request: heads too large, heads that never end, bytes that are not HTTP."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from factories.wire import FAST, KEY, REQUEST_ID, Connection, Reply, WireService, eventually, request, wire_service

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
LIMIT = FAST.max_head_bytes
CHUNKED = (
    f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
)
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}]}'
TLS_HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2


@pytest.fixture(scope="module")
def impatient() -> Iterator[WireService]:
    with wire_service(replace(FAST, head_timeout_s=0.3)) as running:
        yield running


def refusal(connection: Connection) -> Reply:
    """Read the last response of a connection."""
    reply = connection.receive()
    assert connection.is_closed_by_server()
    return reply


def openai_error(code: str, message: str, **others: str) -> dict[str, object]:
    details = {"code": code, "param": None, "message": message, "type": "invalid_request_error"} | others
    return {"error": details, "request_id": REQUEST_ID}


TOO_LARGE = openai_error("BadRequest.TooLarge", "Request Header Fields Too Large.")
NOT_HTTP = openai_error("invalid_request_error", "Invalid HTTP request received.")
TOO_LATE = openai_error("request_timeout", "Request timed out, please try again later.", type="request_timeout")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * LIMIT,
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * LIMIT,
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * (LIMIT // 8),
        b"GET /v1/models HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * LIMIT + b"\r\n\r\n",
    ],
    ids=["request line", "one header", "many headers", "whole"],
)
def test_a_head_over_the_limit_is_431_before_the_key_is_asked_for(service: WireService, head: bytes) -> None:
    with service.connect() as connection:
        connection.send(head)
        reply = refusal(connection)
    assert (reply.status, json.loads(reply.body)) == (431, TOO_LARGE)
    assert reply.headers == {
        "content-type": "application/json",
        "content-length": str(len(reply.body)),
        "x-request-id": REQUEST_ID,
        "connection": "close",
    }


def test_a_head_just_under_the_limit_is_served(service: WireService) -> None:
    padding = "X-Padding: " + "x" * (LIMIT - 200)
    assert service.exchange("GET", "/v1/models", b"", padding).status == 200


def test_a_refusal_reaches_a_client_that_goes_on_sending(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nX-A: ")
        for _ in range(20):
            connection.send(b"x" * 1_000_000)
        assert refusal(connection).status == 431


def test_the_refusal_of_a_native_path_is_in_the_words_of_its_surface(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(f"POST {GENERATION}?x=1 HTTP/1.1\r\nX-A: ".encode() + b"x" * LIMIT)
        reply = refusal(connection)
    assert json.loads(reply.body) == {
        "code": "BadRequest.TooLarge",
        "message": "Request Header Fields Too Large.",
        "request_id": REQUEST_ID,
    }


def test_trailers_without_an_end_are_refused_like_headers(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(CHUNKED + b"%x\r\n%b\r\n0\r\nX-A: " % (len(HELLO), HELLO) + b"x" * 2 * LIMIT)
        time.sleep(0.05)
        connection.send(b"x" * 2 * LIMIT)
        assert refusal(connection).status == 431


def test_many_requests_at_once_are_not_a_large_head(service: WireService) -> None:
    n_requests = 2 * LIMIT // len(request("GET", "/healthz"))
    with service.connect() as connection:
        connection.send(request("GET", "/healthz") * n_requests)
        assert {connection.receive().status for _ in range(n_requests)} == {200}


@pytest.mark.parametrize("begun", [b"G", b"GET /v1/models HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b"])
def test_a_head_that_does_not_end_in_time_is_408(impatient: WireService, begun: bytes) -> None:
    with impatient.connect() as connection:
        connection.send(begun)
        reply = refusal(connection)
    assert (reply.status, json.loads(reply.body)) == (408, TOO_LATE)


def test_a_head_that_comes_ever_so_slowly_is_408_too(impatient: WireService) -> None:
    with impatient.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nX-A: ")
        for _ in range(10):
            time.sleep(0.05)
            connection.send(b"x")
        assert refusal(connection).status == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_that_never_asks_is_closed_without_a_word(impatient: WireService, sent: bytes) -> None:
    with impatient.connect() as connection:
        connection.send(sent)
        assert connection.is_closed_by_server()


@pytest.mark.parametrize("between", [b"", b"\r\n"])
def test_an_idle_connection_is_not_a_slow_head(impatient: WireService, between: bytes) -> None:
    with impatient.connect() as connection:
        connection.send(request("GET", "/healthz"))
        statuses = [connection.receive().status]
        connection.send(between)
        time.sleep(0.5)
        connection.send(request("GET", "/healthz"))
        assert [*statuses, connection.receive().status] == [200, 200]


def test_a_second_head_that_does_not_end_is_408(impatient: WireService) -> None:
    with impatient.connect() as connection:
        connection.send(request("GET", "/healthz"))
        first = connection.receive()
        connection.send(b"GET /healthz HTTP/1.1\r\n")
        assert (first.status, refusal(connection).status) == (200, 408)


def test_a_body_may_take_longer_than_a_head(impatient: WireService) -> None:
    sent = request("POST", CHAT, HELLO)
    with impatient.connect() as connection:
        connection.send(sent[:-10])
        time.sleep(0.4)
        connection.send(sent[-10:])
        assert connection.receive().status == 200


@pytest.mark.parametrize(
    "sent",
    [
        TLS_HELLO,
        b"\0\1\2\3",
        b"NONSENSE / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".encode(),
        CHUNKED + b"zz\r\n",
    ],
    ids=["tls", "binary", "method", "version", "connect", "length", "chunk"],
)
def test_what_is_not_http_is_400_in_json(service: WireService, sent: bytes) -> None:
    with service.connect() as connection:
        connection.send(sent)
        reply = refusal(connection)
    assert (reply.status, reply.headers["content-type"], reply.headers["x-request-id"]) == (
        400,
        "application/json",
        REQUEST_ID,
    )
    assert json.loads(reply.body) == NOT_HTTP


def test_a_bad_chunk_behind_a_good_one_is_400_and_asks_nothing(service: WireService) -> None:
    n_asked = len(service.answers.requests)
    with service.connect() as connection:
        connection.send(CHUNKED + b"%x\r\n%b\r\n" % (len(HELLO), HELLO))
        time.sleep(0.05)
        connection.send(b"zz\r\n")
        assert refusal(connection).status == 400
    assert len(service.answers.requests) == n_asked


def test_garbage_behind_a_request_does_not_get_into_its_answer(service: WireService) -> None:
    body = HELLO[:-1].replace(b"hi", b"hang later") + b',"stream":true}'
    n_cancelled = service.answers.n_cancelled
    with service.connect() as connection:
        connection.send(request("POST", CHAT, body))
        connection.receive_until(b"\n\n")
        connection.send(b"\0\0\0")
        rest = b"".join(iter(lambda: connection.socket.recv(65536), b""))
    assert b"HTTP/1.1" not in rest
    assert eventually(lambda: service.answers.n_cancelled > n_cancelled)


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/models", 401), ("/ws", 404)])
def test_a_websocket_is_answered_as_a_plain_request_and_closed(
    service: WireService, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    with service.connect() as connection:
        connection.send(request("GET", path, b"", *upgrade, key=None))
        reply = refusal(connection)
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
