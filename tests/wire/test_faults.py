"""Faults by request header, as they stand on the wire; and connections that really break."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from factories.wire import FAST, Connection, Reply, WireService, eventually, request, wire_service

CHAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
FILES = "/compatible-mode/v1/files"
QUESTION = {"role": "user", "content": "你好"}
BODY = json.dumps({"model": "qwen-long", "messages": [QUESTION], "stream": True}).encode()
NATIVE_BODY = json.dumps({"model": "qwen-long", "input": {"messages": [QUESTION]}}).encode()
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--b--\r\n'
)
IS_FORM = "Content-Type: multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def faulty() -> Iterator[WireService]:
    with wire_service(replace(FAST, fault_header=True)) as running:
        yield running


def wish(service: WireService, fault: str, path: str = CHAT, body: bytes = BODY, *headers: str) -> Reply:
    return service.exchange("POST", path, body, f"X-Longscroll-Fault: {fault}", *headers)


def torn(service: WireService, fault: str) -> bytes:
    """Return all bytes that come on a connection until the server closes it."""
    with service.connect() as connection:
        connection.send(request("POST", CHAT, BODY, f"X-Longscroll-Fault: {fault}"))
        return connection.receive_rest()


def n_files(service: WireService) -> int:
    return len(json.loads(service.exchange("GET", FILES).body)["data"])


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [(CHAT, BODY, b'"code":"limit_requests"'), (NATIVE, NATIVE_BODY, b'"code":"Throttling.RateQuota"')],
)
def test_an_error_before_the_first_frame_has_its_real_status(
    faulty: WireService, path: str, body: bytes, code: bytes
) -> None:
    reply = wish(faulty, "Throttling.RateQuota; retry_after_s=2", path, body, "X-DashScope-SSE: enable")
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert code in reply.body


@pytest.mark.parametrize("after", [1, 2, 9])
def test_an_error_after_deltas_is_the_last_event_of_the_stream(faulty: WireService, after: int) -> None:
    reply = wish(faulty, f"ModelServingError; after={after}; message=Busy.")
    *deltas, error, end = reply.body.split(b"\n\n")
    assert (reply.status, len(deltas), end) == (200, min(after, 2), b"")
    assert b'"code":"model_serving_error"' in error
    assert b'"message":"Busy."' in error


def test_an_answer_that_is_sent_whole_is_withheld(faulty: WireService) -> None:
    reply = wish(faulty, "InternalError.Algo; after=2", NATIVE, NATIVE_BODY)
    assert (reply.status, json.loads(reply.body)["code"]) == (500, "InternalError.Algo")


def test_a_cut_stream_has_what_came_before_and_no_end(faulty: WireService) -> None:
    head, _, body = torn(faulty, "cut; after=1").partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    size, _, frame = body.partition(b"\r\n")
    assert len(frame) == int(size, 16) + 2
    assert "你".encode() in frame
    assert "好".encode() not in frame


def test_a_connection_can_be_cut_before_any_byte(faulty: WireService) -> None:
    assert torn(faulty, "cut") == b""


def test_a_cut_connection_leaves_its_neighbors_alone(faulty: WireService) -> None:
    with faulty.connect() as neighbor:
        neighbor.send(request("POST", CHAT, BODY))
        assert torn(faulty, "cut") == b""
        assert neighbor.receive().status == 200


def test_a_fault_at_once_comes_before_the_work_and_a_later_one_after_it(faulty: WireService) -> None:
    before = n_files(faulty)
    at_once = wish(faulty, "SystemError", FILES, FORM, IS_FORM)
    n_after_first = n_files(faulty)
    later = wish(faulty, "SystemError; after=1", FILES, FORM, IS_FORM)
    assert (at_once.status, later.status) == (500, 500)
    assert (n_after_first - before, n_files(faulty) - before) == (0, 1)


def test_a_slow_answer_comes_whole(faulty: WireService) -> None:
    reply = wish(faulty, "slow; delay_s=0.3")
    assert reply.body.startswith(b": keep-alive\n\n")
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_a_client_that_leaves_a_silence_stops_the_work(faulty: WireService) -> None:
    n_before = faulty.answers.n_cancelled
    connection: Connection
    with faulty.connect() as connection:
        connection.send(request("POST", CHAT, BODY, "X-Longscroll-Fault: silence; after=1"))
        connection.receive_until("你".encode())
    assert eventually(lambda: faulty.answers.n_cancelled == n_before + 1)


@pytest.mark.parametrize("value", ["fire", "cut; afterwards=1", "cut; after=soon", "Throttling; retry_after_s=0", ""])
def test_a_header_that_means_nothing_says_what_was_expected(faulty: WireService, value: str) -> None:
    reply = wish(faulty, value)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["code"]) == (400, "invalid_parameter_error")
    assert error["message"].startswith("X-Longscroll-Fault is a code of the table of errors, cut, silence or slow")


def test_the_header_is_nothing_where_it_is_not_enabled(service: WireService) -> None:
    assert wish(service, "cut").status == 200
    assert wish(service, "fire").status == 200
