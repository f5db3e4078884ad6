"""What an answer may be asked for, by unchanged clients: choices, tools, log probabilities, stops, partial turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from longscroll.engines.scripted import ScriptedDelta, TokenLogprob
from longscroll.testing import Rule, ServiceOptions, running_service
from longscroll.testing.process import ServiceProcess
from longscroll.types import ToolCallPiece

Said = dict[str, Any]

CALL = (
    ScriptedDelta(tool_calls=(ToolCallPiece(id="call_1", name="weather", arguments='{"city": '),)),
    ScriptedDelta(tool_calls=(ToolCallPiece(arguments='"Paris"}'),)),
)
ODDS = TokenLogprob(token="2", logprob=-0.25, bytes=(50,))
RULES = (
    Rule(message="weather", deltas=CALL),
    Rule(message="odds", deltas=(ScriptedDelta(text="2", logprobs=(ODDS,)),)),
    Rule(message="json", deltas=('{"pages": ', "[1, 2]", "}")),
    Rule(deltas=("Once up", "on a time ", "代码", "改变世界")),
)
STORY = "Once upon a time 代码改变世界"
ARGUMENTS = '{"city": "Paris"}'
WORDS = {
    "tools": "The tool call is not supported.",
    "n": "Range of n should be [1, 1]",
    "logprobs": "This model does not support logprobs.",
    "response_format": "response_format of this type is not supported by this model.",
}


@pytest.fixture(scope="module")
def double() -> Iterator[ServiceProcess]:
    config = '[[model]]\nname = "qwen-long"\n'
    with running_service(RULES, options=ServiceOptions(models=("scripted",), config=config)) as service:
        yield service.process


@pytest.fixture(scope="module")
def compat(double: ServiceProcess, client_set: str) -> Said:
    url = f"{double.url}/compatible-mode/v1"
    return results(run_program(double, client_set, PROGRAMS / "openai_forms.py", url, double.key))


@pytest.fixture(scope="module")
def native(double: ServiceProcess, client_set: str) -> Said:
    return results(run_program(double, client_set, PROGRAMS / "dashscope_forms.py"))


def said_by(answer: Any) -> list[tuple[int, str]]:
    """Return index and content of each choice, on either surface."""
    choices = answer["output"]["choices"] if "output" in answer else answer["choices"]
    return [(choice["index"], choice["message"]["content"]) for choice in choices]


def content(answer: Any) -> str:
    choices = answer["output"]["choices"] if "output" in answer else answer["choices"]
    return str(choices[0]["message"]["content"])


openai = pytest.mark.client("openai-2023", "openai-latest")
dashscope = pytest.mark.client("dashscope-2023", "dashscope-latest")


@openai
@pytest.mark.item(96)
def test_choices_come_with_their_index(compat: Said) -> None:
    assert said_by(compat["choices"]) == [(n, STORY) for n in range(3)]
    texts = ["", ""]
    for chunk in compat["streamed_choices"]:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"]["content"] or ""
    assert texts == [STORY, STORY]


@dashscope
@pytest.mark.item(96)
def test_native_choices_come_with_their_index(native: Said) -> None:
    assert said_by(native["choices"]) == [(n, STORY) for n in range(3)]


@openai
def test_a_call_of_a_tool_is_whole_or_in_pieces_and_its_result_goes_back(compat: Said) -> None:
    [choice] = compat["call"]["choices"]
    [call] = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], call["id"], call["type"]) == ("tool_calls", "call_1", "function")
    assert call["function"] == {"name": "weather", "arguments": ARGUMENTS}
    deltas = [chunk["choices"][0]["delta"] for chunk in compat["streamed_call"]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls") or ()]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == ARGUMENTS
    assert [(piece["id"], piece["type"]) for piece in pieces] == [("call_1", "function"), ("", "function")]
    assert content(compat["after_call"]) == STORY


@dashscope
def test_a_native_call_of_a_tool_is_whole_or_in_pieces_and_its_result_goes_back(native: Said) -> None:
    [choice] = native["call"]["output"]["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": ARGUMENTS}
    pieces = [piece for [frame] in native["streamed_call"] for piece in frame["message"].get("tool_calls") or ()]
    assert "".join(piece["function"]["arguments"] for piece in pieces[:2]) == ARGUMENTS
    assert content(native["after_call"]) == STORY


@openai
def test_log_probabilities_arrive(compat: Said) -> None:
    [token] = compat["odds"]["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("2", -0.25, [50])
    odds = [chunk["choices"][0]["logprobs"] for chunk in compat["streamed_odds"]]
    assert [token["token"] for some in odds if some for token in some["content"]] == ["2"]


@dashscope
def test_native_log_probabilities_arrive(native: Said) -> None:
    [token] = native["odds"]["output"]["choices"][0]["logprobs"]["content"]
    assert (token["token"], token["logprob"]) == ("2", -0.25)


@openai
@pytest.mark.item(95)
def test_an_answer_ends_before_its_stop(compat: Said) -> None:
    stopped = [content(compat[step]) for step in ("stop_text", "stop_ids", "stop_sequences")]
    assert stopped == ["Once ", "Once upon a time ", "Once upon a time "]
    assert compat["stop_text"]["choices"][0]["finish_reason"] == "stop"


@dashscope
@pytest.mark.item(95)
def test_a_native_answer_ends_before_its_stop(native: Said) -> None:
    assert [content(native[step]) for step in ("stop_text", "stop_ids")] == ["Once ", "Once upon a time "]


@openai
@pytest.mark.item(98)
def test_a_partial_turn_is_continued_and_not_said_again(compat: Said) -> None:
    assert content(compat["continued"]) == STORY.removeprefix("Once upon")


@dashscope
@pytest.mark.item(98)
def test_a_native_partial_turn_is_continued_and_not_said_again(native: Said) -> None:
    assert content(native["continued"]) == STORY.removeprefix("Once upon")


@dashscope
@pytest.mark.item(99)
def test_a_multimodal_conversation_in_parts_is_answered_in_parts(native: Said) -> None:
    [choice] = native["in_parts"]["output"]["choices"]
    assert choice["message"]["content"] == [{"text": STORY}]


@openai
@pytest.mark.item(97)
def test_json_comes_as_it_was_written(compat: Said) -> None:
    assert content(compat["json"]) == '{"pages": [1, 2]}'


@dashscope
@pytest.mark.item(97)
def test_native_json_comes_as_it_was_written(native: Said) -> None:
    assert content(native["json"]) == '{"pages": [1, 2]}'


@openai
@pytest.mark.item(115)
def test_prompts_without_a_chat_are_answered(compat: Said) -> None:
    texts = [(choice["index"], choice["text"]) for choice in compat["completions"]["choices"]]
    assert texts == [(0, f"story{STORY}"), (1, "odds2")]
    streamed = compat["streamed_completions"]
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == "Once "
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"


@openai
@pytest.mark.parametrize("name", sorted(WORDS))
def test_what_the_embedded_engine_cannot_is_refused_in_words(compat: Said, name: str) -> None:
    assert compat[f"refused_{name}"] == WORDS[name]


@dashscope
@pytest.mark.parametrize("name", ["tools", "n", "logprobs"])
def test_natively_it_is_refused_in_the_same_words(native: Said, name: str) -> None:
    refused = native[f"refused_{name}"]
    assert (refused["status_code"], refused["code"], refused["message"]) == (400, "InvalidParameter", WORDS[name])
