from __future__ import annotations

import json
from typing import Any

import pytest

from factories.answers import ScriptedAnswers
from factories.requests import make_request
from factories.wire import make_catalog
from longscroll.access.limits import Limits
from longscroll.errors import InvalidParameter, ModelNotFound
from longscroll.protocols.admission import Gate
from longscroll.protocols.exchange import EventStream, Reply
from longscroll.protocols.openai.completions import (
    NO_BEST_OF,
    NO_LOGPROBS,
    NO_PROMPT,
    NO_SUFFIX,
    ONLY_TEXT,
    TOO_MANY_PROMPTS,
    Completions,
)

pytestmark = pytest.mark.item(115)


async def answered(answers: ScriptedAnswers, **fields: Any) -> Any:
    body = json.dumps({"model": "qwen-long", "prompt": "你好"} | fields).encode()
    completions = Completions(answers.answer, Gate(make_catalog(), Limits()))
    return await completions.complete(make_request(body))


async def texts(**fields: Any) -> list[tuple[int, str, str]]:
    reply = await answered(ScriptedAnswers(), **fields)
    assert isinstance(reply, Reply)
    return [(one["index"], one["text"], one["finish_reason"]) for one in json.loads(reply.body)["choices"]]


async def chunks(**fields: Any) -> list[dict[str, Any]]:
    stream = await answered(ScriptedAnswers(), stream=True, **fields)
    assert isinstance(stream, EventStream)
    frames = b"".join([stream.render(event) async for event in stream.events]).decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


async def test_a_prompt_is_the_only_turn_of_a_conversation() -> None:
    answers = ScriptedAnswers()
    await answered(answers, prompt="你好", temperature=0.5, longscroll={"citations": "marks"})
    [asked] = answers.requests
    assert [(message.role, message.content) for message in asked.messages] == [("user", "你好")]
    assert (asked.sampling.temperature, asked.citations) == (0.5, "marks")


async def test_choices_of_several_prompts_stand_in_one_reply() -> None:
    assert await texts(prompt=["choices", "cut"], n=2, echo=True) == [
        (0, "choices你好", "stop"),
        (1, "choices早", "length"),
        (2, "cuta", "length"),
    ]


async def test_several_prompts_are_conversations_of_one_request() -> None:
    answers = ScriptedAnswers()
    reply = await answered(answers, prompt=["one", "two", "three"])
    [asked] = answers.requests
    assert [[turn.content for turn in turns] for turns in (asked.messages, *asked.further)] == [
        ["one"],
        ["two"],
        ["three"],
    ]
    assert json.loads(reply.body)["id"] == f"cmpl-{asked.request_id}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prompt": ["你好", "cut"]}, ["你好你好", "cuta"]),
        ({"prompt": "choices", "n": 2}, ["choices你好", "choices早"]),
    ],
)
async def test_each_choice_of_a_stream_echoes_its_own_prompt_once(fields: dict[str, Any], expected: list[str]) -> None:
    said: dict[int, str] = {}
    for chunk in await chunks(**fields, echo=True):
        [choice] = chunk["choices"]
        said[choice["index"]] = said.get(choice["index"], "") + choice["text"]
    assert said == dict(enumerate(expected))


@pytest.mark.parametrize("prompt", ["你好", "nothing"])
async def test_echo_puts_each_prompt_before_its_text(prompt: str) -> None:
    answer = {"你好": "你好", "nothing": ""}[prompt]
    assert await texts(prompt=prompt, echo=True) == [(0, prompt + answer, "stop")]
    assert "".join(chunk["choices"][0]["text"] for chunk in await chunks(prompt=prompt, echo=True)) == prompt + answer


async def test_a_stream_is_text_completions_and_says_its_usage_when_asked() -> None:
    first, second, last, usage = await chunks(stream_options={"include_usage": True})
    assert [one["choices"][0]["text"] for one in (first, second, last)] == ["你", "好", ""]
    assert (first["object"], last["choices"][0]["finish_reason"]) == ("text_completion", "stop")
    assert (usage["choices"], usage["usage"]["total_tokens"], first["usage"]) == ([], 7, None)


async def test_a_stream_ends_each_choice_by_its_number() -> None:
    *_, first, second = await chunks(prompt="choices", n=2)
    ends = [(one["choices"][0]["index"], one["choices"][0]["finish_reason"]) for one in (first, second)]
    assert ends == [(0, "stop"), (1, "length")]


async def test_a_silence_tells_of_the_parse_until_the_answer_begins() -> None:
    stream = await answered(ScriptedAnswers(), prompt="parsing", stream=True)
    said = [stream.heartbeat()]
    async for event in stream.events:
        stream.render(event)
        said.append(stream.heartbeat())
    assert [comment.startswith(b": parsing") for comment in said] == [False, True, False, False]


@pytest.mark.parametrize(
    ("fields", "text", "param"),
    [
        ({"prompt": None}, NO_PROMPT, "prompt"),
        ({"prompt": ""}, NO_PROMPT, "prompt"),
        ({"prompt": []}, NO_PROMPT, "prompt"),
        ({"prompt": ["a", ""]}, NO_PROMPT, "prompt"),
        ({"prompt": [1, 2]}, ONLY_TEXT, "prompt"),
        ({"prompt": [[1], [2]]}, ONLY_TEXT, "prompt"),
        ({"prompt": ["a"] * 17}, TOO_MANY_PROMPTS, "prompt"),
        ({"suffix": "end"}, NO_SUFFIX, "suffix"),
        ({"best_of": 2}, NO_BEST_OF, "best_of"),
        ({"logprobs": 0}, NO_LOGPROBS, "logprobs"),
        ({"temperature": 3}, "Temperature should be in [0.0, 2.0)", "temperature"),
    ],
)
async def test_what_would_change_the_answer_is_refused_by_name(fields: dict[str, Any], text: str, param: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        await answered(ScriptedAnswers(), **fields)
    assert (str(caught.value), caught.value.param) == (text, param)


async def test_what_changes_nothing_is_accepted() -> None:
    assert await texts(n=1, best_of=1, suffix="", logprobs=False, user="x", wishes=3) == [(0, "你好", "stop")]


async def test_an_unknown_model_comes_before_a_wrong_parameter() -> None:
    with pytest.raises(ModelNotFound):
        await answered(ScriptedAnswers(), model="nobody", suffix="end")


async def test_leaving_stops_the_prompt_that_is_being_answered() -> None:
    answers = ScriptedAnswers()
    stream = await answered(answers, prompt=["hang later", "b"], stream=True, echo=True)
    await anext(stream.events)
    await stream.events.aclose()
    assert answers.n_cancelled == 1


async def test_a_substitute_is_named() -> None:
    reply = await answered(ScriptedAnswers(), prompt="substitute")
    assert json.loads(reply.body)["model_served"] == "other-model"
