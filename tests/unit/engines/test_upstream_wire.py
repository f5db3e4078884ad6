"""Our prompt as a request, chunks as our events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from factories.prompts import prompt
from factories.raw_server import DONE, chunk, event, usage
from longscroll.engines.base import EngineEvent, EngineFinish, EngineUsage, Text
from longscroll.engines.upstream_wire import AnswerStream, UpstreamKind, request_body
from longscroll.errors import EngineFailed, EngineRefused
from longscroll.types import AnswerForm, Message, Sampling, ToolCallPiece

EVERYTHING = Sampling(
    temperature=0.0,
    top_p=0.5,
    top_k=7,
    max_tokens=3,
    stop=("a", "b"),
    seed=0,
    presence_penalty=0.1,
    frequency_penalty=0.2,
    repetition_penalty=1.1,
)
STANDARD = {
    "temperature": 0.0,
    "top_p": 0.5,
    "max_tokens": 3,
    "stop": ["a", "b"],
    "seed": 0,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
}
BARE = {
    "model": "served",
    "messages": [{"role": "user", "content": "春?"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


def sent(sampling: Sampling, kind: UpstreamKind, **extra_body: Any) -> dict[str, Any]:
    body = request_body(prompt("春?", sampling=sampling), kind=kind, served_name="served", extra_body=extra_body)
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def read(*blocks: bytes) -> list[EngineEvent]:
    stream = AnswerStream()
    events: list[EngineEvent] = [text for block in blocks for text in stream.feed(block)]
    return events + list(stream.close())


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llama-server", "ollama", "openai"])
def test_the_salt_of_a_workspace_is_sent_to_who_keeps_caches_apart_by_it(kind: UpstreamKind) -> None:
    salted = structs.replace(prompt("春?"), cache_salt="5a17")
    body = json.loads(request_body(salted, kind=kind, served_name="served", extra_body={"cache_salt": "operator's"}))
    assert body["cache_salt"] == ("5a17" if kind == "vllm" else "operator's")


@pytest.mark.parametrize("kind", ["vllm", "sglang", "llama-server", "ollama", "openai"])
def test_fields_that_are_not_set_are_not_sent(kind: UpstreamKind) -> None:
    assert sent(Sampling(), kind) == BARE


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("vllm", {"top_k": 7, "repetition_penalty": 1.1}),
        ("sglang", {"top_k": 7, "repetition_penalty": 1.1}),
        ("llama-server", {"top_k": 7, "repeat_penalty": 1.1}),
        ("ollama", {}),
        ("openai", {}),
    ],
)
def test_each_kind_gets_the_fields_it_knows(kind: UpstreamKind, own: dict[str, Any]) -> None:
    assert sent(EVERYTHING, kind) == BARE | STANDARD | own


def asked(kind: UpstreamKind, *messages: Message, **form: Any) -> dict[str, Any]:
    """Return what is sent beyond the bare request."""
    made = replace(prompt("春?"), form=AnswerForm(**form))
    made = replace(made, messages=messages or made.messages)
    body: dict[str, Any] = json.loads(request_body(made, kind=kind, served_name="served"))
    return {name: value for name, value in body.items() if BARE.get(name) != value}


FORM = {
    "tools": b'[{"type":"function"}]',
    "tool_choice": b'"auto"',
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "enable_thinking": True,
    "response_format": b'{"type":"json_object"}',
}
TOOLS = {"tools": [{"type": "function"}], "response_format": {"type": "json_object"}}
CHOICE = {"tool_choice": "auto", "parallel_tool_calls": False}
THINKING = {"chat_template_kwargs": {"enable_thinking": True}}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vllm", TOOLS | CHOICE | THINKING | {"reasoning_effort": "low"}),
        ("sglang", TOOLS | CHOICE | THINKING | {"reasoning_effort": "low"}),
        (
            "llama-server",
            TOOLS | CHOICE | {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "low"}},
        ),
        ("ollama", TOOLS | {"reasoning_effort": "low"}),
        ("openai", TOOLS | CHOICE | {"reasoning_effort": "low"}),
    ],
)
def test_each_kind_gets_what_it_knows_of_the_form(kind: UpstreamKind, expected: dict[str, Any]) -> None:
    assert asked(kind, **FORM) == expected


def test_ollama_is_told_in_its_own_way_to_call_no_tools_and_not_to_think() -> None:
    assert asked("ollama", tools=b"[{}]", tool_choice=b'"none"', enable_thinking=False) == {"reasoning_effort": "none"}


def test_what_the_operator_tells_the_template_stays() -> None:
    made = replace(prompt("春?"), form=AnswerForm(enable_thinking=True))
    extra = {"chat_template_kwargs": {"style": "brief", "enable_thinking": False}}
    body = json.loads(request_body(made, kind="vllm", served_name="served", extra_body=extra))
    assert body["chat_template_kwargs"] == {"style": "brief", "enable_thinking": True}


@pytest.mark.item(98)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}),
        ("sglang", {"continue_final_message": True}),
        ("llama-server", {}),
        ("ollama", {}),
        ("openai", {}),
    ],
)
def test_each_kind_is_asked_to_go_on_in_the_way_it_understands(kind: UpstreamKind, expected: dict[str, Any]) -> None:
    turns = (Message(role="user", content="a"), Message(role="assistant", content="b", is_partial=True))
    said = asked(kind, *turns)
    assert said == {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], **expected}


def test_calls_of_tools_and_their_results_go_back_as_they_came() -> None:
    called = Message(role="assistant", content="", tool_calls=b'[{"id": "c1"}]')
    result = Message(role="tool", content="12", tool_call_id="c1", name="f")
    assert asked("openai", called, result)["messages"] == [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "content": "12", "tool_call_id": "c1", "name": "f"},
    ]


def test_log_probabilities_are_asked_for_with_their_number() -> None:
    body = sent(Sampling(wants_logprobs=True, n_top_logprobs=2), "ollama")
    assert body == BARE | {"logprobs": True, "top_logprobs": 2}


def call_chunk(**call: Any) -> bytes:
    return event({"choices": [{"delta": {"tool_calls": [call]}}]})


def test_pieces_of_calls_come_out_with_id_and_name_once() -> None:
    first = call_chunk(index=0, id="c1", type="function", function={"name": "f", "arguments": ""})
    again = call_chunk(index=0, id="c1", function={"name": "f", "arguments": '{"a'})
    second = call_chunk(index=1, id=None, function={"name": "g", "arguments": "{}"})
    assert read(first, again, second, chunk(finish_reason="tool_calls")) == [
        ToolCallPiece(index=0, id="c1", name="f"),
        ToolCallPiece(index=0, arguments='{"a'),
        ToolCallPiece(index=1, id="call_1", name="g", arguments="{}"),
        EngineFinish(reason="tool_calls"),
    ]


def test_calls_of_a_whole_answer_are_numbered_as_they_stand() -> None:
    calls = [{"id": "c1", "function": {"name": "f"}}, {"id": "c2", "function": {"name": "g", "arguments": "{}"}}]
    message = {"content": None, "tool_calls": calls}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert list(AnswerStream().take_whole(body.encode()))[:2] == [
        ToolCallPiece(index=0, id="c1", name="f"),
        ToolCallPiece(index=1, id="c2", name="g", arguments="{}"),
    ]


def test_log_probabilities_ride_on_their_text_as_they_came() -> None:
    tokens = b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a",  "logprob":-1}]}}]}'
    empty = event({"choices": [{"delta": {"content": ""}, "logprobs": {"content": None}}]})
    events = read(b"data: " + tokens + b"\n\n", empty, chunk(finish_reason="stop"))
    assert events == [Text("a", (b'{"token":"a",  "logprob":-1}',)), Text(""), EngineFinish()]


def test_the_extra_body_adds_but_never_overrides() -> None:
    body = sent(Sampling(seed=5), "vllm", seed=6, stream=False, chat_template_kwargs={"enable_thinking": False})
    assert body == BARE | {"seed": 5, "chat_template_kwargs": {"enable_thinking": False}}


def test_text_usage_and_finish_come_out_in_order() -> None:
    events = read(chunk("春"), chunk("天"), chunk(finish_reason="stop"), usage(9, 2, n_cached=5), DONE)
    counted = EngineUsage(n_input_tokens=9, n_output_tokens=2, n_cached_tokens=5)
    assert events == [Text("春"), Text("天"), EngineFinish(reason="stop", usage=counted)]


def test_usage_may_ride_on_the_last_chunk_and_done_may_be_missing() -> None:
    last = event({"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"prompt_tokens": 4}})
    assert read(chunk("a"), last) == [Text("a"), EngineFinish(reason="length", usage=EngineUsage(n_input_tokens=4))]


def test_done_alone_also_ends_an_answer() -> None:
    assert read(chunk("a"), DONE) == [Text("a"), EngineFinish(reason="stop")]


def test_only_the_content_of_the_first_choice_is_text() -> None:
    thinking = event({"choices": [{"delta": {"reasoning_content": "hm", "reasoning": "hm", "role": "assistant"}}]})
    second = event({"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]})
    nothing = chunk("") + event({"choices": [{"delta": {"content": None}, "finish_reason": "null"}]}) + event({})
    events = read(thinking, second, nothing, chunk("a"), chunk(finish_reason="stop"))
    assert events == [Text("a"), EngineFinish(reason="stop")]


def test_nothing_counts_after_done() -> None:
    assert read(DONE, chunk("late"), event({"error": "late"})) == [EngineFinish(reason="stop")]


@pytest.mark.parametrize("stream", [b"", chunk("a"), b"data: " + chunk("a")[6:30], b": ping\n\n", usage(1, 1)])
def test_a_stream_without_an_end_is_a_cut_one(stream: bytes) -> None:
    with pytest.raises(EngineFailed):
        read(stream)


@pytest.mark.parametrize(
    ("stream", "error", "message"),
    [
        (event({"error": {"message": "CUDA out of memory", "code": 500}}), EngineFailed, "failed (HTTP 500)"),
        (event({"error": "boom"}), EngineFailed, "failed (HTTP 500)"),
        (event({"error": {"message": "too long", "code": 400}}), EngineRefused, "too long"),
        (event({"error": {"message": "too long", "type": "BadRequestError"}}), EngineRefused, "too long"),
        (event({"code": "InvalidParameter", "message": "too long"}), EngineRefused, "too long"),
        (b"event: error\n" + event({"error": {"message": "x"}}), EngineFailed, "failed (HTTP 500)"),
        (b"data: <html>\n\n", EngineFailed, "no chat completion"),
        (b"data: \xff\n\n", EngineFailed, "no chat completion"),
        (event([1]), EngineFailed, "no chat completion"),
        (event({"choices": [{"delta": {"content": 5}}]}), EngineFailed, "no chat completion"),
        (chunk(finish_reason="abort"), EngineFailed, "gave up"),
        (chunk(finish_reason="content_filter"), EngineRefused, "content filter"),
    ],
)
def test_an_error_inside_the_stream_is_raised_after_the_text_before_it(
    stream: bytes, error: type[Exception], message: str
) -> None:
    texts: list[EngineEvent] = []
    with pytest.raises(error) as raised:
        texts.extend(AnswerStream().feed(chunk("a") + chunk("b") + stream))
    assert texts == [Text("a"), Text("b")]
    assert message in str(raised.value)


def test_a_whole_json_answer_is_read_as_one_delta() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "春天"}, "finish_reason": "length"}], "usage": {}}
    events = list(AnswerStream().take_whole(json.dumps(body).encode()))
    assert events == [Text("春天"), EngineFinish(reason="length", usage=EngineUsage())]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b'{"choices": []}', b"<html>"])
def test_json_that_is_no_completion_is_an_error(body: bytes) -> None:
    with pytest.raises(EngineFailed, match="no chat completion"):
        list(AnswerStream().take_whole(body))


@given(st.lists(st.text(min_size=1), max_size=6), st.integers(1, 40))
def test_any_block_size_yields_the_same_answer(texts: list[str], size: int) -> None:
    stream = b"".join([*map(chunk, texts), chunk(finish_reason="stop"), usage(3, 4), DONE])
    blocks = [stream[start : start + size] for start in range(0, len(stream), size)]
    finish = EngineFinish(usage=EngineUsage(n_input_tokens=3, n_output_tokens=4))
    assert read(*blocks) == [*map(Text, texts), finish]
