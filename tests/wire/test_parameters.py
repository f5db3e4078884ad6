"""Every row of the parameters' table on both surfaces: the ends of its range, what lies beyond, and wrong types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factories.wire import WireService
from longscroll.protocols.parameters import GENERIC
from longscroll.services.demands import BAD_STOP
from longscroll.types import AnswerForm, ChatRequest, Sampling

CHAT = "/compatible-mode/v1/chat/completions"
COMPLETIONS = "/compatible-mode/v1/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"

Reply = tuple[int, str]

pytestmark = pytest.mark.item(63)


def compat(service: WireService, **fields: Any) -> Reply:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": "你好"}]} | fields
    reply = service.exchange("POST", CHAT, json.dumps(body).encode())
    return reply.status, "" if reply.status == 200 else json.loads(reply.body)["error"]["message"]


def completions(service: WireService, **fields: Any) -> Reply:
    body = {"model": "qwen-long", "prompt": "你好"} | fields
    reply = service.exchange("POST", COMPLETIONS, json.dumps(body).encode())
    return reply.status, "" if reply.status == 200 else json.loads(reply.body)["error"]["message"]


def native(service: WireService, **fields: Any) -> Reply:
    body = {"model": "qwen-long", "input": {"prompt": "你好"}, "parameters": fields}
    reply = service.exchange("POST", GENERATION, json.dumps(body).encode())
    return reply.status, "" if reply.status == 200 else json.loads(reply.body)["message"]


def last(service: WireService) -> ChatRequest:
    return service.answers.requests[-1]


TEMPERATURE = "Temperature should be in [0.0, 2.0)"
TOP_P = "Range of top_p should be (0.0, 1.0]"
TOP_K = "Parameter top_k be greater than or equal to 0"
REPETITION = "Repetition_penalty should be greater than 0.0"
PRESENCE = "Presence_penalty should be in [-2.0, 2.0]"
FREQUENCY = "Frequency_penalty should be in [-2.0, 2.0]"
OUTPUT = "Range of max_tokens should be [1, 32768]"
PAGE = "Range of page should be [0, 9223372036854775807]"
SEED = "Range of seed should be [-9223372036854775808, 9223372036854775807]"
N = "Range of n should be [1, 4]"
TOP_LOGPROBS = "Range of top_logprobs should be [0, 5]"

REFUSED = [
    ("temperature", 2.0, TEMPERATURE),
    ("temperature", -0.01, TEMPERATURE),
    ("temperature", "warm", TEMPERATURE),
    ("top_p", 0, TOP_P),
    ("top_p", 1.01, TOP_P),
    ("top_p", [], TOP_P),
    ("top_k", -1, TOP_K),
    ("top_k", 1.5, TOP_K),
    ("repetition_penalty", 0, REPETITION),
    ("repetition_penalty", "much", REPETITION),
    ("presence_penalty", 2.01, PRESENCE),
    ("presence_penalty", -2.01, PRESENCE),
    ("frequency_penalty", 2.01, FREQUENCY),
    ("max_tokens", 0, OUTPUT),
    ("max_tokens", 32769, OUTPUT),
    ("max_tokens", "all", OUTPUT),
    ("max_length", 0, OUTPUT),
    ("max_completion_tokens", 32769, OUTPUT),
    ("page", -1, PAGE),
    ("page", 2**63, PAGE),
    ("n", 0, N),
    ("n", 5, N),
    ("n", "two", N),
    ("stop", 5, BAD_STOP),
    ("stop", ["a", 1], BAD_STOP),
    ("stop", [["a"]], BAD_STOP),
    ("stop", [[1], 1], BAD_STOP),
    ("stop", [True], BAD_STOP),
    ("seed", "x", SEED),
    ("seed", 2**64, SEED),
    ("logit_bias", [], GENERIC),
]
OF_CHATS = [
    ("top_logprobs", 6, TOP_LOGPROBS),
    ("top_logprobs", -1, TOP_LOGPROBS),
    ("logprobs", "yes", GENERIC),
    ("response_format", "json", GENERIC),
    ("response_format", {"type": 1}, GENERIC),
    ("tools", {}, GENERIC),
    ("tools", ["f"], GENERIC),
    ("parallel_tool_calls", "no", GENERIC),
    ("reasoning_effort", 5, GENERIC),
    ("enable_thinking", "no", GENERIC),
]

ACCEPTED = [
    ("temperature", 0, Sampling(temperature=0)),
    ("temperature", 1.999, Sampling(temperature=1.999)),
    ("top_p", 1, Sampling(top_p=1)),
    ("top_k", 0, Sampling(top_k=0)),
    ("top_k", 101, Sampling()),
    ("repetition_penalty", 0.01, Sampling(repetition_penalty=0.01)),
    ("presence_penalty", -2, Sampling(presence_penalty=-2)),
    ("frequency_penalty", 2, Sampling(frequency_penalty=2)),
    ("max_tokens", 1, Sampling(max_tokens=1)),
    ("max_length", 32768, Sampling(max_tokens=32768)),
    ("max_completion_tokens", 7, Sampling(max_tokens=7)),
    ("page", 2**63 - 1, Sampling()),
    ("n", 1, Sampling()),
    ("seed", 1234, Sampling(seed=1234)),
    ("stop", "a", Sampling(stop=("a",))),
    ("stop", ["a", "b"], Sampling(stop=("a", "b"))),
    ("stop", [46100], Sampling(stop_ids=((46100,),))),
    ("stop", [[46100, 1], [2]], Sampling(stop_ids=((46100, 1), (2,)))),
    ("logit_bias", {"7": -100}, Sampling(logit_bias={"7": -100})),
]
IGNORED = ["enable_search", "search_options", "thinking_budget", "translation_options", "max_input_tokens", "wishes"]


@pytest.mark.parametrize("ask", [compat, native, completions])
@pytest.mark.parametrize(("name", "value", "text"), REFUSED)
def test_beyond_its_range_a_parameter_has_its_documented_text(
    service: WireService, ask: Any, name: str, value: Any, text: str
) -> None:
    assert ask(service, **{name: value}) == (400, text)


@pytest.mark.parametrize("ask", [compat, native])
@pytest.mark.parametrize(("name", "value", "text"), OF_CHATS)
def test_what_only_chats_have_is_checked_as_well(
    service: WireService, ask: Any, name: str, value: Any, text: str
) -> None:
    assert ask(service, **{name: value}) == (400, text)


@pytest.mark.parametrize("ask", [compat, native, completions])
@pytest.mark.parametrize(("name", "value", "expected"), ACCEPTED)
def test_within_its_range_a_parameter_reaches_the_engine(
    service: WireService, ask: Any, name: str, value: Any, expected: Sampling
) -> None:
    assert ask(service, **{name: value}) == (200, "")
    assert last(service).sampling == expected


@pytest.mark.parametrize("ask", [compat, native])
def test_null_is_absent(service: WireService, ask: Any) -> None:
    names = [name for name, *_ in (*REFUSED, *OF_CHATS)]
    assert ask(service, **dict.fromkeys(names), tool_choice=None) == (200, "")
    assert (last(service).sampling, last(service).form) == (Sampling(), AnswerForm())


@pytest.mark.item(10)
@pytest.mark.parametrize("ask", [compat, native, completions])
@pytest.mark.parametrize("value", [True, 5, "x", [1], {"a": None}])
def test_what_nobody_reads_may_be_anything(service: WireService, ask: Any, value: Any) -> None:
    assert ask(service, **dict.fromkeys(IGNORED, value)) == (200, "")


@pytest.mark.parametrize("ask", [compat, native])
def test_tools_allow_one_choice_only(service: WireService, ask: Any) -> None:
    assert ask(service, tools=[{"type": "function"}], n=2) == (400, "Range of n should be [1, 1]")


@pytest.mark.item(97)
@pytest.mark.parametrize("ask", [compat, native])
def test_json_must_be_spoken_of(service: WireService, ask: Any) -> None:
    words = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    assert ask(service, response_format={"type": "json_object"}) == (400, words)
