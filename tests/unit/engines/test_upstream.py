"""The engine against a server of raw bytes: failover, faults, silence and cancellation on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from factories.prompts import prompt
from factories.raw_server import DONE, Connection, chunk, event, free_port, raw_server, usage
from longscroll.engines.base import EngineEvent, EngineFinish, EngineUsage, Text
from longscroll.engines.upstream import Upstream, UpstreamOptions
from longscroll.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    LongscrollError,
    ModelUnavailable,
)
from longscroll.types import Sampling

KEY = "sk-upstream-secret"
WHOLE = (chunk("春"), chunk("天"), chunk(finish_reason="stop"), usage(9, 2, n_cached=5), DONE)
ANSWER = [
    Text("春"),
    Text("天"),
    EngineFinish(usage=EngineUsage(n_input_tokens=9, n_output_tokens=2, n_cached_tokens=5)),
]


def options(*urls: str, **changes: Any) -> UpstreamOptions:
    fields: dict[str, Any] = {"served_name": "served", "context_window": 4096, **changes}
    return UpstreamOptions(name="gpu", urls=urls, **fields)


async def answer_of(*urls: str, **changes: Any) -> list[EngineEvent]:
    async with Upstream(options(*urls, **changes)) as engine:
        return [event async for event in engine.generate(prompt())]


async def error_of(*urls: str, **changes: Any) -> LongscrollError:
    with pytest.raises(EngineError) as raised:
        await answer_of(*urls, **changes)
    return raised.value


async def answer_whole(connection: Connection) -> None:
    await connection.begin_stream()
    await connection.send(*WHOLE)


async def hang_up(connection: Connection) -> None:
    return None


async def test_text_usage_and_finish_arrive_as_the_server_sends_them() -> None:
    async with raw_server(answer_whole) as server:
        assert await answer_of(server.url) == ANSWER


async def test_every_byte_may_be_a_packet_of_its_own() -> None:
    async def answer(connection: Connection) -> None:
        await connection.begin_stream()
        stream = b"".join(WHOLE).replace(b"\n", b"\r\n")
        await connection.send(*(stream[i : i + 1] for i in range(len(stream))))

    async with raw_server(answer) as server:
        assert await answer_of(server.url) == ANSWER


async def test_the_request_is_what_the_server_needs_and_no_more() -> None:
    async with raw_server(answer_whole) as server:
        async with Upstream(options(server.url + "/", api_key=KEY)) as engine:
            asked = prompt("hi", sampling=Sampling(max_tokens=5, top_k=3))
            await anext(engine.generate(asked))
        (request,) = server.requests
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {
        "model": "served",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
    }


async def test_without_a_served_name_the_prompts_model_is_asked_for() -> None:
    async with raw_server(answer_whole) as server:
        await answer_of(server.url, served_name=None)
        assert server.requests[0].body["model"] == "qwen-long"


async def test_a_prompt_of_megabytes_is_sent_whole() -> None:
    question = "长" * 1_500_000
    async with raw_server(answer_whole) as server:
        async with Upstream(options(server.url)) as engine:
            assert [event async for event in engine.generate(prompt(question))] == ANSWER
        assert server.requests[0].body["messages"][0]["content"] == question


async def test_a_slow_first_byte_is_waited_for() -> None:
    async def answer(connection: Connection) -> None:
        await asyncio.sleep(0.2)
        await answer_whole(connection)

    async with raw_server(answer) as server:
        assert await answer_of(server.url) == ANSWER


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (302, EngineFailed, "redirect"),
        (400, EngineRefused, "request (9 tokens) exceeds"),
        (401, EngineFailed, "refused the key of this service"),
        (403, EngineFailed, "refused the key of this service"),
        (404, ModelUnavailable, "no such model"),
        (408, EngineTimeout, "in time"),
        (422, EngineRefused, "request (9 tokens) exceeds"),
        (429, EngineOverloaded, "overloaded"),
        (500, EngineFailed, "HTTP 500"),
        (502, ModelUnavailable, "not ready"),
        (503, ModelUnavailable, "not ready"),
        (504, EngineTimeout, "in time"),
    ],
)
async def test_a_status_becomes_its_error(status: int, error: type[EngineError], words: str) -> None:
    body = {"error": {"message": "<400> InternalError.Algo.InvalidParameter: request (9 tokens) exceeds the window"}}

    async def answer(connection: Connection) -> None:
        await connection.reply(json.dumps(body).encode(), status=status, headers="Location: http://127.0.0.1:1/\r\n")

    async with raw_server(answer) as server:
        raised = await error_of(server.url)
    assert type(raised) is error
    assert words in str(raised)
    assert "InternalError" not in str(raised)


async def test_retry_after_is_handed_on() -> None:
    async def answer(connection: Connection) -> None:
        await connection.reply(b"{}", status=429, headers="Retry-After: 17\r\n")

    async with raw_server(answer) as server:
        raised = await error_of(server.url)
    assert isinstance(raised, EngineOverloaded)
    assert raised.retry_after_s == 17


async def test_html_of_a_proxy_is_no_message() -> None:
    async def answer(connection: Connection) -> None:
        await connection.reply(b"<html><h1>502 Bad Gateway</h1>nginx/1.25</html>", status=502, kind="text/html")

    async with raw_server(answer) as server:
        raised = await error_of(server.url)
    assert type(raised) is ModelUnavailable
    assert str(raised).endswith("The model server is not ready.")


async def test_a_web_page_with_status_200_is_an_error() -> None:
    async def answer(connection: Connection) -> None:
        await connection.reply(b"<html>Welcome</html>", kind="text/html; charset=utf-8")

    async with raw_server(answer) as server:
        assert "no chat completion" in str(await error_of(server.url))


async def test_a_server_that_does_not_stream_is_read_whole() -> None:
    completion = {"choices": [{"index": 0, "message": {"content": "春天"}, "finish_reason": "length"}]}

    async def answer(connection: Connection) -> None:
        await connection.reply(json.dumps(completion).encode())

    async with raw_server(answer) as server:
        assert await answer_of(server.url) == [Text("春天"), EngineFinish(reason="length")]


async def test_an_error_object_in_the_stream_comes_after_the_text_before_it() -> None:
    async def answer(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.send(chunk("春"), event({"error": {"message": "CUDA out of memory", "code": 500}}))

    async with raw_server(answer) as server, Upstream(options(server.url)) as engine:
        events = engine.generate(prompt())
        assert await anext(events) == Text("春")
        with pytest.raises(EngineFailed, match="HTTP 500"):
            await anext(events)


@pytest.mark.parametrize("head", ["Connection: close", "Transfer-Encoding: chunked", "Content-Length: 5000"])
async def test_a_stream_that_breaks_off_is_an_error(head: str) -> None:
    async def answer(connection: Connection) -> None:
        data = b"%x\r\n%b\r\n" % (len(chunk("春")), chunk("春")) if "chunked" in head else chunk("春")
        await connection.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}\r\n\r\n".encode(), data)

    async with raw_server(answer) as server, Upstream(options(server.url)) as engine:
        events = engine.generate(prompt())
        assert await anext(events) == Text("春")
        with pytest.raises(EngineFailed, match="broke off"):
            await anext(events)


async def test_an_answer_is_whole_although_done_never_comes() -> None:
    async def answer(connection: Connection) -> None:
        await connection.begin_stream()
        await connection.send(chunk("春"), chunk(finish_reason="length"))
        await connection.wait_until_left()

    async with raw_server(answer) as server:
        assert await answer_of(server.url) == [Text("春"), EngineFinish(reason="length")]


async def test_a_connection_that_breaks_after_the_last_text_harms_nothing() -> None:
    async def answer(connection: Connection) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5000\r\n\r\n"
        await connection.send(head, chunk("春"), chunk(finish_reason="stop"))

    async with raw_server(answer) as server:
        assert await answer_of(server.url) == [Text("春"), EngineFinish()]


@pytest.mark.parametrize("n_texts", [0, 1])
async def test_silence_before_and_inside_an_answer_is_a_timeout(n_texts: int) -> None:
    async def answer(connection: Connection) -> None:
        if n_texts:
            await connection.begin_stream()
            await connection.send(chunk("春"))
        await connection.wait_until_left()

    async with raw_server(answer) as server:
        raised = await error_of(server.url, silence_timeout_s=0.1)
    assert type(raised) is EngineTimeout
    assert str(raised) == "The model server was silent for 0.1 seconds."


async def test_comments_show_that_the_server_lives() -> None:
    async def answer(connection: Connection) -> None:
        await connection.begin_stream()
        for _ in range(6):
            await asyncio.sleep(0.05)
            await connection.send(b": processing\n\n")
        await connection.send(*WHOLE)

    async with raw_server(answer) as server:
        assert await answer_of(server.url, silence_timeout_s=0.2) == ANSWER


async def test_a_server_that_is_not_there_is_unavailable_and_says_what_to_check() -> None:
    raised = await error_of(f"http://127.0.0.1:{free_port()}/v1")
    assert type(raised) is ModelUnavailable
    assert str(raised).endswith("The model server gpu cannot be reached: is it running?")


async def test_the_next_server_answers_for_one_that_is_away_or_not_ready() -> None:
    async def not_ready(connection: Connection) -> None:
        await connection.reply(b'{"error": {"message": "Loading model"}}', status=503)

    away = f"http://127.0.0.1:{free_port()}/v1"
    async with raw_server(not_ready) as loading, raw_server(answer_whole) as ready:
        for urls in ([away, loading.url, ready.url], [ready.url, away], [loading.url, ready.url]):
            assert await answer_of(*urls) == ANSWER


async def test_a_refusal_is_not_tried_elsewhere() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.reply(b'{"message": "no"}', status=400)

    async with raw_server(refuse) as first, raw_server(answer_whole) as second:
        assert type(await error_of(first.url, second.url)) is EngineRefused
        assert second.requests == []


async def test_servers_take_turns_and_the_same_documents_stay_at_one() -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(raw_server(answer_whole)) for _ in range(2)]
        engine = await stack.enter_async_context(Upstream(options(*(server.url for server in servers))))
        for _ in range(4):
            await anext(engine.generate(prompt()))
        assert [len(server.requests) for server in servers] == [2, 2]
        for _ in range(4):
            await anext(engine.generate(prompt(affinity="the same documents")))
        assert sorted(len(server.requests) for server in servers) == [2, 6]


async def test_a_connection_closed_before_any_answer_is_tried_once_more() -> None:
    async with raw_server(hang_up, answer_whole) as server:
        assert await answer_of(server.url) == ANSWER


async def test_a_server_that_always_hangs_up_is_unavailable() -> None:
    async with raw_server(hang_up) as server:
        raised = await error_of(server.url)
        assert len(server.requests) == 2
    assert str(raised).endswith("The model server gpu closed the connection without an answer.")


async def test_what_does_not_speak_http_is_an_error() -> None:
    async def answer(connection: Connection) -> None:
        await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")

    async with raw_server(answer) as server:
        assert str(await error_of(server.url)) == "The model server gpu does not answer in HTTP."


async def test_the_key_is_in_no_repr_and_no_error() -> None:
    async def answer(connection: Connection) -> None:
        await connection.reply(json.dumps({"message": f"bad field for {KEY}"}).encode(), status=400)

    async with raw_server(answer) as server:
        raised = await error_of(server.url, api_key=KEY)
    shown = repr(options("http://h/v1", api_key=KEY)) + str(options("http://h/v1", api_key=KEY).__rich_repr__())
    assert str(raised) == "bad field for ***"
    assert KEY not in shown


@pytest.mark.parametrize(
    "changes",
    [
        {"urls": ()},
        {"urls": ("gpu-1:8000/v1",)},
        {"urls": ("http://user:pass@gpu-1/v1",)},
        {"urls": ("http://gpu-1/v1?key=1",)},
        {"urls": ("http://h/v1",), "api_key": "a\nb"},
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="upstream gpu"):
        UpstreamOptions(name="gpu", **changes)


async def test_an_engine_that_is_not_started_says_so() -> None:
    with pytest.raises(ModelUnavailable, match="not connected"):
        await anext(Upstream(options("http://127.0.0.1:1/v1")).generate(prompt()))
