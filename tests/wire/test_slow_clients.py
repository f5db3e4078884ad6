"""A client that does not read what it asked for: it holds little memory, and not for ever."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from factories.wire import FAST, Connection, WireService, eventually, request, wire_service

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
SEND_SILENCE_S = 0.4
BUFFER_BYTES = 32 << 10
N_FLOOD_BYTES = 500 * 65536
LAST_CHUNK = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def impatient() -> Iterator[WireService]:
    with wire_service(replace(FAST, send_silence_s=SEND_SILENCE_S)) as running:
        yield running


def ask_for_a_flood(service: WireService, path: str, *, buffer_bytes: int = BUFFER_BYTES) -> Connection:
    turn = {"role": "user", "content": "flood"}
    fields = {"stream": True, "messages": [turn]} if path == CHAT else {"input": {"messages": [turn]}}
    body = {"model": "qwen-long", "parameters": {"incremental_output": True}, **fields}
    connection = service.connect(buffer_bytes=buffer_bytes)
    connection.send(request("POST", path, json.dumps(body).encode(), "Accept: text/event-stream"))
    return connection


@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_client_that_reads_nothing_is_cut_off_and_its_answer_stopped(
    impatient: WireService, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    n_cancelled, begun = impatient.answers.n_cancelled, time.monotonic()
    with ask_for_a_flood(impatient, path) as connection:
        assert eventually(lambda: impatient.answers.n_cancelled > n_cancelled, within_s=5)
        assert time.monotonic() - begun >= SEND_SILENCE_S
        received = connection.receive_rest()
    assert (len(received) < N_FLOOD_BYTES, received.endswith(LAST_CHUNK)) == (True, False)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_reads_slowly_gets_everything(impatient: WireService) -> None:
    n_received, end, begun = 0, b"", time.monotonic()
    with ask_for_a_flood(impatient, CHAT, buffer_bytes=16 * BUFFER_BYTES) as connection:
        while end != LAST_CHUNK:
            data = connection.socket.recv(1 << 20)
            assert data
            n_received, end = n_received + len(data), (end + data)[-len(LAST_CHUNK) :]
            time.sleep(len(data) / (N_FLOOD_BYTES / 2 / SEND_SILENCE_S))  # twice the bound over all of it
    assert (n_received > N_FLOOD_BYTES, time.monotonic() - begun > SEND_SILENCE_S) == (True, True)


def test_a_client_that_waits_for_an_answer_is_not_taken_for_one_that_does_not_read(impatient: WireService) -> None:
    n_cancelled = impatient.answers.n_cancelled
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": "hang"}], "stream": True}
    with impatient.connect() as connection:
        connection.send(request("POST", CHAT, json.dumps(body).encode()))
        time.sleep(3 * SEND_SILENCE_S)
        assert impatient.answers.n_cancelled == n_cancelled
    assert eventually(lambda: impatient.answers.n_cancelled == n_cancelled + 1, within_s=5)  # it has left
