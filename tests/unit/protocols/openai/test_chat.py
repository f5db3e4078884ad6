from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories.answers import annotation, finish, pieces
from factories.requests import make_request
from factories.wire import NOON, REQUEST_ID
from longscroll.protocols.encoding import encode
from longscroll.protocols.openai.chat import ChunkRenderer
from longscroll.protocols.openai.schema import ChatCompletionChunk, NextDelta, RunningChoice
from longscroll.types import ChatEvent, Delta, ToolCallPiece


def renderer(**options: Any) -> ChunkRenderer:
    standard: dict[str, Any] = {"running_reason": None, "with_usage": False}
    return ChunkRenderer(make_request(), options.pop("model", "qwen-long"), **(standard | options))


def rendered(render: ChunkRenderer, events: Sequence[Any]) -> list[dict[str, Any]]:
    frames = b"".join(render.render(event) for event in events).decode().split("\n\n")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames if frame not in ("", "data: [DONE]")]


@given(
    st.text(st.characters()),
    st.sampled_from(["qwen-long", '"content":"', "模型\u2028"]),
    st.sampled_from([None, "null"]),
)
def test_the_template_renders_what_the_whole_struct_would(text: str, model: str, reason: str | None) -> None:
    render = renderer(model=model, running_reason=reason)
    render.render(Delta(text="first"))
    chunk = ChatCompletionChunk(
        choices=(RunningChoice(NextDelta(text), reason),),
        created=int(NOON.timestamp()),
        model=model,
        id=f"chatcmpl-{REQUEST_ID}",
    )
    assert render.render(Delta(text=text)) == (b"data: " + encode(chunk) + b"\n\n" if text else b"")


@pytest.mark.item(53)
def test_no_line_but_data_is_ever_rendered() -> None:
    render = renderer(with_usage=True)
    events: list[ChatEvent] = [Delta(text="a\nid: 1\nevent: x"), Delta(text="[1]", annotations=(annotation(0, 1),))]
    lines = b"".join(render.render(event) for event in [*events, finish(2)]).split(b"\n")
    assert all(line == b"" or line.startswith(b"data: ") for line in lines)


@pytest.mark.item(49, 59)
def test_every_chunk_but_the_last_has_the_running_reason() -> None:
    chunks = rendered(renderer(running_reason="null"), [*pieces("a", "b"), finish(2)])
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == ["null", "null", "stop"]


def test_annotations_stand_in_the_chunk_of_their_mark() -> None:
    chunks = rendered(renderer(), [*pieces("a"), Delta(text="[1]", annotations=(annotation(1, 1),)), finish(2)])
    notes = [chunk["choices"][0]["delta"].get("annotations") for chunk in chunks]
    assert [note and note[0]["start_index"] for note in notes] == [None, 1, None]


def test_an_answer_without_text_still_has_a_role() -> None:
    assert [c["choices"][0]["delta"] for c in rendered(renderer(), [finish(0)])] == [
        {"content": "", "role": "assistant"},
        {"content": ""},
    ]


def test_pieces_of_calls_stand_in_chunks_of_their_own() -> None:
    first, second = ToolCallPiece(id="c1", name="f", arguments="{"), ToolCallPiece(arguments="}")
    deltas = [Delta(text="", tool_calls=(piece,)) for piece in (first, second)]
    chunks = rendered(renderer(is_plain=False), [*deltas, finish(2, reason="tool_calls")])
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {
            "content": "",
            "role": "assistant",
            "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}}],
        },
        {
            "content": "",
            "tool_calls": [{"index": 0, "id": "", "type": "function", "function": {"arguments": "}"}}],
        },
        {"content": ""},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.item(96)
def test_each_choice_has_a_role_and_an_end() -> None:
    events: list[ChatEvent] = [Delta(text="x", choice=1), Delta(text="y", choice=1)]
    chunks = rendered(renderer(is_plain=False), [*events, finish(2, other_reasons=("length",))])
    shown = [(c["choices"][0]["index"], c["choices"][0]["delta"].get("role")) for c in chunks]
    reasons = [c["choices"][0]["finish_reason"] for c in chunks]
    assert shown == [(1, "assistant"), (1, None), (0, "assistant"), (0, None), (1, None)]
    assert reasons == [None, None, None, "stop", "length"]


def test_log_probabilities_stand_in_the_chunk_of_their_text() -> None:
    chunks = rendered(renderer(is_plain=False), [Delta(text="a", logprobs=(b'{"token":"a"}',)), finish(1)])
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks] == [{"content": [{"token": "a"}]}, None]


def test_an_error_ends_a_stream_without_done() -> None:
    frame = renderer().fail(ValueError("secret"))
    body = msgspec.json.decode(frame.removeprefix(b"data: "))
    assert (body["error"]["code"], frame.endswith(b"}\n\n"), b"secret" in frame) == ("internal_error", True, False)
