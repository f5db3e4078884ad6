"""A client that leaves stops all work for it within a quarter of a second, whatever part of the service is at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from factories.held import HeldService, held_service
from factories.wire import Connection, eventually, request

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
TEXT = "The lighthouse was lit in 1871. Its keeper, Ada Thornbury, kept bees in the lamp room.\n"
STOPPED_WITHIN_S = 0.25


@pytest.fixture
def held() -> Iterator[HeldService]:
    with held_service() as running:
        yield running


def ask(held: HeldService, path: str, file_id: str, *, stream: bool, **body: Any) -> Connection:
    messages = [{"role": "system", "content": f"fileid://{file_id}"}, {"role": "user", "content": "Who kept bees?"}]
    fields = {"messages": messages, "stream": stream} if path == CHAT else {"input": {"messages": messages}}
    headers = ("X-DashScope-SSE: enable",) if stream and path == GENERATION else ()
    connection = held.connect()
    sent = json.dumps({"model": "qwen-long", **fields, **body}).encode()
    connection.send(request("POST", path, sent, *headers))
    return connection


def waits_for_a_parse(held: HeldService, path: str, *, stream: bool) -> tuple[Connection, Callable[[], bool]]:
    return ask(held, path, held.being_parsed(TEXT), stream=stream), lambda: held.n_answering == 1


def waits_for_a_reader(held: HeldService, path: str, *, stream: bool) -> tuple[Connection, Callable[[], bool]]:
    file_id = held.parsed(TEXT)
    held.hold_readers()
    return ask(held, path, file_id, stream=stream), lambda: held.readers.n_waiting == 1


def waits_for_the_engine(held: HeldService, path: str, *, stream: bool) -> tuple[Connection, Callable[[], bool]]:
    connection = ask(held, path, held.parsed(TEXT), stream=stream, model="scripted")
    return connection, lambda: held.engine.n_running == 1


WAITS = (waits_for_a_parse, waits_for_a_reader, waits_for_the_engine)


@pytest.mark.item(46)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", [CHAT, GENERATION])
@pytest.mark.parametrize("begin", WAITS)
def test_hanging_up_stops_whatever_the_answer_waits_for(
    held: HeldService, begin: Callable[..., tuple[Connection, Callable[[], bool]]], path: str, *, stream: bool
) -> None:
    connection, is_waiting = begin(held, path, stream=stream)
    assert eventually(is_waiting, within_s=5)
    connection.socket.close()
    assert eventually(lambda: held.n_answering == 0, within_s=STOPPED_WITHIN_S)
    assert (held.readers.n_waiting, held.engine.n_running) == (0, 0)


@pytest.mark.item(46)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_hanging_up_in_the_middle_of_comments_stops_the_wait(held: HeldService, path: str) -> None:
    connection = ask(held, path, held.being_parsed(TEXT), stream=True)
    connection.receive_until(b"parsing 0 of 4 pages\n\n")
    connection.socket.close()
    assert eventually(lambda: held.n_answering == 0, within_s=STOPPED_WITHIN_S)
