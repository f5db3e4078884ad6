"""A client that leaves stops the work for it, whatever the work waits for; nothing is left in the log."""

from __future__ import annotations

import json
import logging
import socket

import pytest

from factories.wire import Connection, WireService, eventually, request

CHAT = "/compatible-mode/v1/chat/completions"


def ask(service: WireService, question: str, *, stream: bool) -> Connection:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": question}], "stream": stream}
    n_asked = len(service.answers.requests)
    connection = service.connect()
    connection.send(request("POST", CHAT, json.dumps(body).encode()))
    assert eventually(lambda: len(service.answers.requests) > n_asked)
    return connection


@pytest.mark.item(46)
@pytest.mark.parametrize(
    ("question", "stream"), [("hang", True), ("hang", False), ("hang later", True), ("hang later", False)]
)
def test_hanging_up_stops_the_answer(
    service: WireService, caplog: pytest.LogCaptureFixture, question: str, *, stream: bool
) -> None:
    n_cancelled = service.answers.n_cancelled
    ask(service, question, stream=stream).socket.close()
    assert eventually(lambda: service.answers.n_cancelled > n_cancelled, within_s=0.25)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.item(46)
def test_hanging_up_after_the_first_frame_stops_the_answer(service: WireService) -> None:
    n_cancelled = service.answers.n_cancelled
    connection = ask(service, "hang later", stream=True)
    connection.receive_until(b"\n\n")
    connection.socket.close()
    assert eventually(lambda: service.answers.n_cancelled > n_cancelled, within_s=0.25)


@pytest.mark.item(46)
def test_a_reset_connection_stops_the_answer(service: WireService) -> None:
    n_cancelled = service.answers.n_cancelled
    connection = ask(service, "hang", stream=True)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.socket.close()
    assert eventually(lambda: service.answers.n_cancelled > n_cancelled, within_s=0.25)


def test_a_client_that_closes_its_sending_half_has_left(service: WireService) -> None:
    n_cancelled = service.answers.n_cancelled
    with ask(service, "hang", stream=True) as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert eventually(lambda: service.answers.n_cancelled > n_cancelled, within_s=0.25)
        assert connection.is_closed_by_server()


def test_hanging_up_inside_a_body_asks_nothing(service: WireService, caplog: pytest.LogCaptureFixture) -> None:
    n_asked = len(service.answers.requests)
    with service.connect() as connection:
        connection.send(request("POST", CHAT, b'{"model":"qwen-long"}')[:-3])
    assert service.exchange("GET", "/healthz").status == 200
    assert (len(service.answers.requests), caplog.records) == (n_asked, [])


def test_an_answer_to_its_end_is_not_taken_for_a_client_that_left(service: WireService) -> None:
    n_cancelled = service.answers.n_cancelled
    with ask(service, "long", stream=True) as connection:
        reply = connection.receive()
        connection.send(request("GET", "/healthz"))
        assert connection.receive().status == 200
    assert (reply.body.endswith(b"data: [DONE]\n\n"), service.answers.n_cancelled) == (True, n_cancelled)
