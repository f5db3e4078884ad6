"""When the bytes of a stream leave: the status line waits, silence is filled, errors come where they can be read."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from factories.wire import Connection, Reply, WireService, request

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
KEEP_ALIVE = {CHAT: b": keep-alive\n\n", GENERATION: b":keep-alive\n\n"}
PARSING = {CHAT: b": parsing\n\n", GENERATION: b":parsing\n\n"}


def body_of(path: str, question: str) -> bytes:
    turn = {"role": "user", "content": question}
    fields: dict[str, Any] = {"stream": True, "messages": [turn]} if path == CHAT else {"input": {"messages": [turn]}}
    return json.dumps({"model": "qwen-long", **fields}).encode()


def open_stream(service: WireService, path: str, question: str) -> Connection:
    connection = service.connect()
    connection.send(request("POST", path, body_of(path, question), "Accept: text/event-stream"))
    return connection


def stream(service: WireService, path: str, question: str) -> Reply:
    with open_stream(service, path, question) as connection:
        return connection.receive()


@pytest.mark.item(45, 55)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_silence_before_and_between_frames_is_filled_with_comments(service: WireService, path: str) -> None:
    with open_stream(service, path, "slow") as connection:
        body = connection.receive().body
    frames = [frame + b"\n\n" for frame in body.split(b"\n\n")[:-1]]
    names = {PARSING[path]: "p", KEEP_ALIVE[path]: "k"}
    kinds = "".join(names.get(frame, "t") for frame in frames)
    assert re.fullmatch("p{1,3}tk{1,3}t{2,3}", kinds)


def test_the_status_line_waits_for_the_first_silence(service: WireService) -> None:
    with open_stream(service, CHAT, "hang") as connection:
        begun = time.monotonic()
        connection.receive_until(b"\r\n\r\n")
        assert 0.1 < time.monotonic() - begun < 1


@pytest.mark.item(39)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_an_error_before_the_first_frame_has_its_own_status(service: WireService, path: str) -> None:
    reply = stream(service, path, "bad file")
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")


@pytest.mark.item(40, 56)
@pytest.mark.parametrize(
    ("path", "expected"),
    [(CHAT, b'data: {"error":{'), (GENERATION, b"id:1\nevent:error\n:HTTP_STATUS/400\nstatus:400\n")],
)
def test_an_error_after_a_long_silence_is_told_inside_the_stream(
    service: WireService, path: str, expected: bytes
) -> None:
    reply = stream(service, path, "late refusal")
    last = reply.body.split(b"\n\n")[-2]
    assert (reply.status, last.startswith(expected), b"Invalid file" in last) == (200, True, True)


@pytest.mark.item(31, 56)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_bug_inside_a_stream_ends_it_with_an_error_frame(service: WireService, path: str) -> None:
    reply = stream(service, path, "bug later")
    assert reply.status == 200
    assert b"internal" in reply.body.split(b"\n\n")[-2].lower()
    assert reply.body.endswith(b"\n\n")
    assert b"[DONE]" not in reply.body
    assert b"secret" not in reply.body


@pytest.mark.item(31, 52)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_long_stream_arrives_whole_and_in_order(service: WireService, path: str) -> None:
    body = stream(service, path, "long").body.decode()
    answer = "".join(f"word{n} " for n in range(2000))
    if path == CHAT:
        data = [json.loads(frame[6:]) for frame in body.split("\n\n")[:-2]]
        assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in data) == answer
    else:
        last = json.loads(body.split("\n\n")[-2].split("\ndata:")[1])
        assert last["output"]["choices"][0]["message"]["content"] == answer
