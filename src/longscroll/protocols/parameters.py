"""How an answer is to be made, as both protocols spell it: fields, ranges, and the documented text for each.

Knows the texts of PROTOCOL.md §3.2 and nothing else of either surface's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from longscroll.errors import IllegalInput, InvalidParameter
from longscroll.types import Sampling

MAX_OUTPUT_TOKENS = 32_768
"""The most that one answer may be asked for (PROTOCOL.md §6.2)."""

GENERIC = "Required parameter(s) missing or invalid, please check the request parameters."
BAD_MESSAGE = "Input should be a valid dictionary or instance of GPT3Message"
BAD_CONTENT = "input content must be a string."
BAD_STOP = (
    'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", and all elements '
    "within the list must be of the same type."
)
NO_TOOLS = "The tool call is not supported."
NO_JSON_WORD = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
NO_RESPONSE_FORMAT = "response_format of this type is not supported by this model."

_OFF_TOP_K = 100
"""A larger ``top_k`` switches the filter off (§3.2)."""


class ResponseFormat(Struct, kw_only=True):
    """``response_format``; further keys are of types that no engine serves yet."""

    type: str = "text"


class Parameters(Struct, kw_only=True):
    """The fields that both protocols share; null means absent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_length: int | None = None  # old Java SDKs
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    page: int | None = None
    n: int | None = None
    stop: str | list[str | int | list[int]] | None = None
    response_format: ResponseFormat | None = None
    tools: list[Any] | None = None

    @property
    def output_limit(self) -> int | None:
        """The most tokens the answer may have, by whichever name it was given."""
        return first_given(self.max_completion_tokens, self.max_tokens, self.max_length)


class Rule(Struct, frozen=True):
    """One parameter's range: what to look at, what holds, and the words where it does not."""

    name: str
    holds: Callable[[Any], bool]
    text: str


RULES = (
    Rule("temperature", lambda value: 0 <= value < 2, "Temperature should be in [0.0, 2.0)"),
    Rule("top_p", lambda value: 0 < value <= 1, "Range of top_p should be (0.0, 1.0]"),
    Rule("top_k", lambda value: value >= 0, "Parameter top_k be greater than or equal to 0"),
    Rule("repetition_penalty", lambda value: value > 0, "Repetition_penalty should be greater than 0.0"),
    Rule("presence_penalty", lambda value: -2 <= value <= 2, "Presence_penalty should be in [-2.0, 2.0]"),
    Rule("frequency_penalty", lambda value: -2 <= value <= 2, "Frequency_penalty should be in [-2.0, 2.0]"),
    Rule(
        "output_limit",
        lambda value: 1 <= value <= MAX_OUTPUT_TOKENS,
        f"Range of max_tokens should be [1, {MAX_OUTPUT_TOKENS}]",
    ),
    Rule("page", lambda value: 0 <= value < 2**63, "Range of page should be [0, 9223372036854775807]"),
    Rule("n", lambda value: 1 <= value <= 4, "Range of n should be [1, 4]"),
)
"""In the order in which they are checked."""

_WIRE_NAMES = {"output_limit": "max_tokens"}
_TYPE_TEXTS = {rule.name: rule.text for rule in RULES} | {
    "max_tokens": RULES[6].text,
    "max_completion_tokens": RULES[6].text,
    "max_length": RULES[6].text,
    "stop": BAD_STOP,
}


def check(parameters: Parameters) -> None:
    """Refuse what is out of range or asks for what no engine can do.

    Raises:
        InvalidParameter: with the documented text, for the first rule that does not hold.
    """
    for rule in RULES:
        value = getattr(parameters, rule.name)
        if value is not None and not rule.holds(value):
            raise InvalidParameter(rule.text, param=_WIRE_NAMES.get(rule.name, rule.name))
    if parameters.tools:
        raise InvalidParameter(NO_TOOLS, param="tools")
    if parameters.n is not None and parameters.n > 1:
        raise InvalidParameter("Range of n should be [1, 1]", param="n")
    _stop_strings(parameters.stop)


def check_response_format(parameters: Parameters, texts: Iterable[str]) -> None:
    """Refuse a ``response_format`` that no engine can hold to; ``texts`` are the contents of the messages."""
    wanted = parameters.response_format.type if parameters.response_format else "text"
    if wanted == "json_object" and not any("json" in text.lower() for text in texts):
        raise InvalidParameter(NO_JSON_WORD, param="response_format")
    if wanted != "text":
        raise InvalidParameter(NO_RESPONSE_FORMAT, param="response_format")


def to_sampling(parameters: Parameters) -> Sampling:
    """Return checked parameters in the words of the domain."""
    top_k = parameters.top_k
    return Sampling(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=None if top_k is None or top_k > _OFF_TOP_K else top_k,
        max_tokens=parameters.output_limit,
        stop=_stop_strings(parameters.stop),
        seed=parameters.seed,
        presence_penalty=parameters.presence_penalty,
        frequency_penalty=parameters.frequency_penalty,
        repetition_penalty=parameters.repetition_penalty,
    )


def explain(error: msgspec.ValidationError) -> InvalidParameter:
    """Return a field of the wrong type as the error that the protocols document for it."""
    match = re.search(r"`\$\.(?:input\.|parameters\.)?(\w+)(.*)`$", str(error))
    if match is None:
        return InvalidParameter(GENERIC)
    name, rest = match[1], match[2]
    if name == "input":
        return IllegalInput()
    if name in ("messages", "history"):
        return InvalidParameter(BAD_CONTENT if ".content" in rest else BAD_MESSAGE, param=name)
    return InvalidParameter(_TYPE_TEXTS.get(name, GENERIC), param=name)


def integer(query: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    """Return a number of the query string.

    Raises:
        InvalidParameter: not a whole number in the range.
    """
    text = query.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII) or not low <= int(text) <= high:
        raise InvalidParameter(f"Range of {name} should be [{low}, {high}]", param=name)
    return int(text)


def first_given(*values: int | None) -> int | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)


def _stop_strings(stop: str | list[str | int | list[int]] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,)
    strings = tuple(item for item in stop if isinstance(item, str))
    if strings and len(strings) < len(stop):
        raise InvalidParameter(BAD_STOP, param="stop")
    if len(strings) < len(stop):
        raise InvalidParameter("Token ids in stop are not supported by this model; give strings.", param="stop")
    return strings
