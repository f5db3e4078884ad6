from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longscroll.errors import IllegalInput, InvalidParameter
from longscroll.protocols.parameters import (
    GENERIC,
    NO_JSON_WORD,
    Parameters,
    check,
    explain,
    integer,
    to_form,
    to_sampling,
)
from longscroll.services.demands import BAD_STOP, NO_CHOICES, NO_RESPONSE_FORMAT
from longscroll.types import AnswerForm, Sampling


def refusal(**fields: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidParameter) as caught:
        check(Parameters(**fields))
    return str(caught.value), caught.value.param


@pytest.mark.item(63)
@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.0},
        {"temperature": 1.999},
        {"top_p": 1.0},
        {"top_p": 0.001},
        {"top_k": 0},
        {"repetition_penalty": 0.1},
        {"presence_penalty": -2.0},
        {"frequency_penalty": 2.0},
        {"max_tokens": 32768},
        {"page": 2**63 - 1},
        {"n": 1},
        {"n": 4},
        {"top_logprobs": 5},
        {"tools": [], "n": 2},
        {"stop": []},
    ],
)
def test_the_ends_of_a_range_belong_to_it(fields: dict[str, Any]) -> None:
    check(Parameters(**fields))


@pytest.mark.item(63)
@pytest.mark.parametrize(
    ("fields", "text", "param"),
    [
        ({"temperature": 2.0}, "Temperature should be in [0.0, 2.0)", "temperature"),
        ({"temperature": -0.1}, "Temperature should be in [0.0, 2.0)", "temperature"),
        ({"top_p": 0.0}, "Range of top_p should be (0.0, 1.0]", "top_p"),
        ({"top_p": 1.01}, "Range of top_p should be (0.0, 1.0]", "top_p"),
        ({"top_k": -1}, "Parameter top_k be greater than or equal to 0", "top_k"),
        ({"repetition_penalty": 0.0}, "Repetition_penalty should be greater than 0.0", "repetition_penalty"),
        ({"presence_penalty": 2.01}, "Presence_penalty should be in [-2.0, 2.0]", "presence_penalty"),
        ({"max_length": 0}, "Range of max_tokens should be [1, 32768]", "max_tokens"),
        ({"max_completion_tokens": 32769}, "Range of max_tokens should be [1, 32768]", "max_tokens"),
        ({"page": 2**63}, "Range of page should be [0, 9223372036854775807]", "page"),
        ({"seed": 2**63}, "Range of seed should be [-9223372036854775808, 9223372036854775807]", "seed"),
        ({"n": 0}, "Range of n should be [1, 4]", "n"),
        ({"n": 5}, "Range of n should be [1, 4]", "n"),
        ({"n": 2, "tools": [{}]}, NO_CHOICES, "n"),
        ({"top_logprobs": 6}, "Range of top_logprobs should be [0, 5]", "top_logprobs"),
        ({"stop": ["a", 1]}, BAD_STOP, "stop"),
        ({"stop": [1, [1]]}, BAD_STOP, "stop"),
        ({"stop": [[1], []]}, BAD_STOP, "stop"),
    ],
)
def test_beyond_a_range_stands_the_documented_text(fields: dict[str, Any], text: str, param: str) -> None:
    assert refusal(**fields) == (text, param)


def test_parameters_become_sampling() -> None:
    parameters = Parameters(temperature=0.5, top_k=100, max_length=3, stop=["a", "b"], frequency_penalty=1.0)
    expected = Sampling(temperature=0.5, top_k=100, max_tokens=3, stop=("a", "b"), frequency_penalty=1.0)
    assert to_sampling(parameters) == expected


@pytest.mark.item(106)
def test_the_limit_of_the_output_is_the_models() -> None:
    check(Parameters(max_tokens=100), max_output_tokens=100)
    with pytest.raises(InvalidParameter, match=r"Range of max_tokens should be \[1, 100\]"):
        check(Parameters(max_tokens=101), max_output_tokens=100)


@pytest.mark.item(95)
@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("a", Sampling(stop=("a",))),
        ("", Sampling()),
        (["a", "", "b"], Sampling(stop=("a", "b"))),
        ([46100, 7], Sampling(stop_ids=((46100,), (7,)))),
        ([[46100, 7], [8]], Sampling(stop_ids=((46100, 7), (8,)))),
    ],
)
def test_a_stop_is_text_or_token_ids(stop: Any, expected: Sampling) -> None:
    assert to_sampling(Parameters(stop=stop)) == expected


def test_top_log_probabilities_count_only_beside_log_probabilities() -> None:
    assert to_sampling(Parameters(logprobs=True, top_logprobs=2, n=3, logit_bias={"7": -1})) == Sampling(
        wants_logprobs=True, n_top_logprobs=2, n_choices=3, logit_bias={"7": -1}
    )
    assert to_sampling(Parameters(top_logprobs=2)) == Sampling()


def form_of(body: str, *texts: str) -> AnswerForm:
    return to_form(msgspec.json.decode(body, type=Parameters), texts)


def test_a_form_carries_the_clients_json_as_it_came() -> None:
    body = (
        '{"tools":[{"type":"function","function":{"name":"f","parameters":{"b": 1,  "a":2}}}],"tool_choice":"auto",'
        '"parallel_tool_calls":false,"reasoning_effort":"low","enable_thinking":true,'
        '"response_format":{"type":"json_schema","json_schema":{"name": "n"}}}'
    )
    assert form_of(body) == AnswerForm(
        format="json_schema",
        response_format=b'{"type":"json_schema","json_schema":{"name": "n"}}',
        tools=b'[{"type":"function","function":{"name":"f","parameters":{"b": 1,  "a":2}}}]',
        tool_choice=b'"auto"',
        parallel_tool_calls=False,
        reasoning_effort="low",
        enable_thinking=True,
    )


def test_null_and_empty_fields_ask_for_nothing() -> None:
    assert form_of('{"tools":[],"tool_choice":null,"response_format":{"type":"text"}}') == AnswerForm()


def test_without_tools_nothing_is_said_of_them() -> None:
    assert form_of('{"tool_choice":"auto","parallel_tool_calls":true}') == AnswerForm()


@pytest.mark.item(97)
@pytest.mark.parametrize(
    ("kind", "text"), [("json_object", NO_JSON_WORD), ("xml", NO_RESPONSE_FORMAT), ("JSON_OBJECT", NO_RESPONSE_FORMAT)]
)
def test_a_format_that_nobody_can_hold_to_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        form_of(f'{{"response_format":{{"type":"{kind}"}}}}', "no such word")
    assert (str(caught.value), caught.value.param) == (text, "response_format")


@pytest.mark.item(97)
def test_any_message_may_speak_of_json() -> None:
    asked = form_of('{"response_format":{"type":"json_object"}}', "hi", "as Json, please")
    assert asked == AnswerForm(format="json_object", response_format=b'{"type":"json_object"}')


def test_a_large_top_k_is_off() -> None:
    assert to_sampling(Parameters(top_k=101)).top_k is None


def test_the_newest_name_of_the_output_limit_wins() -> None:
    parameters = Parameters(max_completion_tokens=1, max_tokens=2, max_length=3)
    assert to_sampling(parameters).max_tokens == 1


@pytest.mark.parametrize(
    ("message", "text", "param"),
    [
        (
            "Expected `float | null`, got `str` - at `$.temperature`",
            "Temperature should be in [0.0, 2.0)",
            "temperature",
        ),
        (
            "Expected `int | null`, got `str` - at `$.parameters.top_k`",
            "Parameter top_k be greater than or equal to 0",
            "top_k",
        ),
        (
            "Expected `int`, got `str` - at `$.max_completion_tokens`",
            "Range of max_tokens should be [1, 32768]",
            "max_completion_tokens",
        ),
        ("Expected `str`, got `null` - at `$.stop[0]`", BAD_STOP, "stop"),
        ("Expected `bool`, got `str` - at `$.stream_options.include_usage`", GENERIC, "stream_options"),
        ("Expected `object`, got `int`", GENERIC, None),
    ],
)
def test_a_field_of_the_wrong_type_is_told_in_the_words_of_its_range(
    message: str, text: str, param: str | None
) -> None:
    error = explain(msgspec.ValidationError(message))
    assert (str(error), error.param) == (text, param)


def test_an_input_that_is_no_object_has_an_error_of_its_own() -> None:
    assert isinstance(explain(msgspec.ValidationError("Expected `object`, got `str` - at `$.input`")), IllegalInput)


def test_a_number_of_the_query_may_be_absent() -> None:
    assert [integer(query, "limit", 7, low=1, high=9) for query in ({}, {"limit": ""}, {"limit": "9"})] == [7, 7, 9]


@pytest.mark.parametrize("text", ["0", "10", "1.0", "x", "١", "9" * 5000])
def test_a_number_of_the_query_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"Range of limit should be \[1, 9\]"):
        integer({"limit": text}, "limit", 7, low=1, high=9)
