from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longscroll.errors import IllegalInput, InvalidParameter
from longscroll.protocols.parameters import BAD_STOP, GENERIC, Parameters, check, explain, integer, to_sampling
from longscroll.types import Sampling


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
        {"tools": []},
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
        ({"n": 0}, "Range of n should be [1, 4]", "n"),
        ({"stop": ["a", 1]}, BAD_STOP, "stop"),
    ],
)
def test_beyond_a_range_stands_the_documented_text(fields: dict[str, Any], text: str, param: str) -> None:
    assert refusal(**fields) == (text, param)


def test_parameters_become_sampling() -> None:
    parameters = Parameters(temperature=0.5, top_k=100, max_length=3, stop=["a", "b"], frequency_penalty=1.0)
    expected = Sampling(temperature=0.5, top_k=100, max_tokens=3, stop=("a", "b"), frequency_penalty=1.0)
    assert to_sampling(parameters) == expected


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
