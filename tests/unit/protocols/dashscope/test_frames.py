from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories.answers import annotation, finish
from factories.requests import make_request
from factories.wire import REQUEST_ID
from longscroll.errors import EngineFailed
from longscroll.protocols.dashscope.frames import FrameRenderer, Shape
from longscroll.protocols.dashscope.schema import (
    FrameChoice,
    FrameMessage,
    FrameText,
    FrameUsage,
    Generation,
    MessageOutput,
)
from longscroll.protocols.encoding import encode
from longscroll.types import ChatEvent, Delta, ToolCallPiece


def renderer(**fields: Any) -> FrameRenderer:
    standard: dict[str, Any] = {"model": "qwen-long", "is_message": False, "is_incremental": False, "has_usage": True}
    return FrameRenderer(make_request(), Shape(**(standard | fields)))


def data(frame: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frame.split(b"\ndata:")[1])
    return found


@given(st.lists(st.text(st.characters(), min_size=1), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_the_template_renders_what_the_whole_struct_would(
    texts: list[str], is_message: bool, is_incremental: bool
) -> None:
    render = renderer(is_message=is_message, is_incremental=is_incremental)
    for n, text in enumerate(texts, 1):
        frame = render.render(Delta(text=text, n_input_tokens=5, n_output_tokens=n))
        shown = text if is_incremental else "".join(texts[:n])
        message = MessageOutput((FrameChoice(FrameMessage(shown), "null"),))
        generation = Generation(
            output=message if is_message else FrameText("null", shown),
            usage=FrameUsage(5 + n, 5, n),
            request_id=REQUEST_ID,
        )
        head = f"id:{n}\nevent:result\n:HTTP_STATUS/200\ndata:".encode()
        if not any("\ud800" <= c <= "\udfff" for c in "".join(texts)):
            assert frame == head + encode(generation) + b"\n\n"


@pytest.mark.item(30, 33)
def test_frames_count_from_one_and_tokens_never_fall() -> None:
    render = renderer()
    events: list[ChatEvent] = [Delta(text="a", n_output_tokens=1), Delta(text="b", n_output_tokens=3), finish(3)]
    frames = [render.render(event) for event in events]
    assert [frame.split(b"\n")[0] for frame in frames] == [b"id:1", b"id:2", b"id:3"]
    counts = [data(frame)["usage"]["output_tokens"] for frame in frames]
    assert all(earlier <= later for earlier, later in pairwise(counts))


@pytest.mark.item(40)
def test_an_error_takes_the_next_number_and_says_its_status() -> None:
    render = renderer()
    render.render(Delta(text="a"))
    assert render.fail(EngineFailed("x")).startswith(b"id:2\nevent:error\n:HTTP_STATUS/500\nstatus:500\ndata:{")


def test_an_event_without_anything_to_say_takes_no_number() -> None:
    render = renderer()
    assert render.render(Delta(text="")) == b""
    assert render.render(Delta(text="a")).startswith(b"id:1\n")


@pytest.mark.parametrize(("is_incremental", "expected"), [(True, [1, 0, 0]), (False, [1, 1, 1])])
def test_annotations_are_repeated_as_the_text_is(*, is_incremental: bool, expected: list[int]) -> None:
    render = renderer(is_incremental=is_incremental)
    events: list[ChatEvent] = [Delta(text="[1]", annotations=(annotation(0, 1),)), Delta(text="b"), finish(2)]
    shown = [data(render.render(event))["output"].get("annotations", []) for event in events]
    assert [len(annotations) for annotations in shown] == expected


def test_the_last_incremental_frame_repeats_no_annotation() -> None:
    render = renderer(is_incremental=True)
    render.render(Delta(text="[1]", annotations=(annotation(0, 1),)))
    assert "annotations" not in data(render.render(finish(1)))["output"]


def test_frames_without_usage_have_none() -> None:
    render = renderer(has_usage=False)
    assert ["usage" in data(render.render(event)) for event in (Delta(text="a"), finish(1))] == [False, False]


CALLS = (
    Delta(text="", tool_calls=(ToolCallPiece(id="c1", name="f", arguments='{"a"'),), n_output_tokens=2),
    Delta(text="", tool_calls=(ToolCallPiece(arguments=":1}"),), n_output_tokens=3),
    finish(3, reason="tool_calls"),
)


def choices(render: FrameRenderer, events: Sequence[ChatEvent]) -> list[dict[str, Any]]:
    """Return the choice of each frame."""
    frames = b"".join(render.render(event) for event in events).split(b"\n\n")[:-1]
    return [data(frame)["output"]["choices"][0] for frame in frames]


@pytest.mark.parametrize(
    ("is_incremental", "expected"),
    [(True, [("c1", '{"a"'), ("", ":1}"), None]), (False, [("c1", '{"a"'), ("c1", '{"a":1}'), ("c1", '{"a":1}')])],
)
def test_calls_of_tools_are_repeated_as_the_text_is(*, is_incremental: bool, expected: list[Any]) -> None:
    shown = choices(renderer(is_message=True, is_incremental=is_incremental), CALLS)
    calls = [choice["message"].get("tool_calls") for choice in shown]
    assert [call and (call[0]["id"], call[0]["function"]["arguments"]) for call in calls] == expected
    assert [choice["finish_reason"] for choice in shown] == ["null", "null", "tool_calls"]


@pytest.mark.item(96)
def test_several_choices_are_numbered_and_each_ends_by_itself() -> None:
    events: list[ChatEvent] = [Delta(text="a"), Delta(text="x", choice=1), Delta(text="b")]
    events.append(finish(3, other_reasons=("length",)))
    shown = choices(renderer(is_message=True, n_choices=2), events)
    assert [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in shown] == [
        (0, "a", "null"),
        (1, "x", "null"),
        (0, "ab", "null"),
        (0, "ab", "stop"),
        (1, "x", "length"),
    ]


def test_what_is_said_of_the_whole_answer_stands_in_its_very_last_frame() -> None:
    last = finish(0, other_reasons=("stop",), model_served="other")
    frames = renderer(is_message=True, n_choices=2).render(last).split(b"\n\n")[:-1]
    assert [data(frame).get("model_served") for frame in frames] == [None, "other"]


@pytest.mark.parametrize(
    ("is_incremental", "expected"), [(True, [[1], None, [2], None]), (False, [[1], [1], [1, 2], [1, 2]])]
)
def test_log_probabilities_are_repeated_as_the_text_is(*, is_incremental: bool, expected: list[Any]) -> None:
    deltas = [Delta(text="a", logprobs=(b"1",)), Delta(text="b"), Delta(text="", logprobs=(b"2",))]
    shown = choices(renderer(is_message=True, is_incremental=is_incremental), [*deltas, finish(2)])
    assert [choice.get("logprobs", {}).get("content") for choice in shown] == expected
