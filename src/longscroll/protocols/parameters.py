"""How an answer is to be made, as both protocols spell it: fields, ranges, and the documented text for each.

Knows the texts of PROTOCOL.md §3.2 and nothing else of either surface's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from longscroll.errors import IllegalInput, InvalidParameter
from longscroll.services.demands import BAD_STOP, NO_CHOICES, NO_RESPONSE_FORMAT
from longscroll.services.models import DEFAULT_MAX_OUTPUT_TOKENS
from longscroll.types import AnswerForm, FormatKind, Sampling

GENERIC = "Required parameter(s) missing or invalid, please check the request parameters."
BAD_MESSAGE = "Input should be a valid dictionary or instance of GPT3Message"
BAD_CONTENT = "input content must be a string."
NO_JSON_WORD = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."

_OFF_TOP_K = 100
"""A larger ``top_k`` switches the filter off (§3.2)."""


_OUTPUT_RANGE = "Range of max_tokens should be [1, {}]"
_FORMATS: dict[str, FormatKind] = {"text": "text", "json_object": "json_object", "json_schema": "json_schema"}
_NULL = Raw(b"null")

Stop = str | list[str | int | list[int]] | None
"""Text, texts, ids of the bundled vocabulary, or sequences of such ids."""


class ResponseFormat(Struct, kw_only=True):
    """``response_format``; a schema is the engine's to read."""

    type: str = "text"
    json_schema: Raw = _NULL


class SamplingParameters(Struct, kw_only=True):
    """The fields that every kind of completion shares; null means absent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_length: int | None = None  # old Java SDKs
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    page: int | None = None
    n: int | None = None
    stop: Stop = None

    @property
    def output_limit(self) -> int | None:
        """The most tokens the answer may have, by whichever name it was given."""
        return first_given(self.max_completion_tokens, self.max_tokens, self.max_length)


class Parameters(SamplingParameters, kw_only=True):
    """The fields that the chats of both protocols share."""

    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None
    tools: list[dict[str, Raw]] | None = None
    tool_choice: Raw = _NULL
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None


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
    Rule("page", lambda value: 0 <= value < 2**63, "Range of page should be [0, 9223372036854775807]"),
    Rule("seed", lambda value: -(2**63) <= value < 2**63, f"Range of seed should be [{-(2**63)}, {2**63 - 1}]"),
    Rule("n", lambda value: 1 <= value <= 4, "Range of n should be [1, 4]"),
    Rule("top_logprobs", lambda value: 0 <= value <= 5, "Range of top_logprobs should be [0, 5]"),
)
"""In the order in which they are checked; the limit of the output, which is the model's, comes last."""

_OUTPUT_NAMES = ("max_tokens", "max_completion_tokens", "max_length")
_TYPE_TEXTS = (
    {rule.name: rule.text for rule in RULES}
    | dict.fromkeys(_OUTPUT_NAMES, _OUTPUT_RANGE.format(DEFAULT_MAX_OUTPUT_TOKENS))
    | {"stop": BAD_STOP}
)


def check(parameters: SamplingParameters, *, max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS) -> None:
    """Refuse what is out of range; ``max_output_tokens`` is the most that the model may write.

    Raises:
        InvalidParameter: with the documented text, for the first rule that does not hold.
    """
    for rule in RULES:
        value = getattr(parameters, rule.name, None)
        if value is not None and not rule.holds(value):
            raise InvalidParameter(rule.text, param=rule.name)
    limit = parameters.output_limit
    if limit is not None and not 1 <= limit <= max_output_tokens:
        raise InvalidParameter(_OUTPUT_RANGE.format(max_output_tokens), param="max_tokens")
    if isinstance(parameters, Parameters) and parameters.tools and (parameters.n or 1) > 1:
        raise InvalidParameter(NO_CHOICES, param="n")
    _stop_strings(parameters.stop)


def to_form(parameters: Parameters, texts: Iterable[str]) -> AnswerForm:
    """Return what the answer may be made of; ``texts`` are the contents of the messages.

    Raises:
        InvalidParameter: a ``response_format`` that nobody knows, or JSON that no message speaks of.
    """
    wanted = parameters.response_format or ResponseFormat()
    if wanted.type not in _FORMATS:
        raise InvalidParameter(NO_RESPONSE_FORMAT, param="response_format")
    if wanted.type == "json_object" and not any("json" in text.lower() for text in texts):
        raise InvalidParameter(NO_JSON_WORD, param="response_format")
    has_tools = bool(parameters.tools)  # what is said of none of them would be refused by servers
    has_choice = has_tools and parameters.tool_choice != _NULL
    return AnswerForm(
        format=_FORMATS[wanted.type],
        response_format=None if wanted.type == "text" else _rendered(wanted),
        tools=msgspec.json.encode(parameters.tools) if has_tools else None,
        tool_choice=bytes(parameters.tool_choice) if has_choice else None,
        parallel_tool_calls=parameters.parallel_tool_calls if has_tools else None,
        reasoning_effort=parameters.reasoning_effort,
        enable_thinking=parameters.enable_thinking,
    )


def to_sampling(parameters: SamplingParameters) -> Sampling:
    """Return checked parameters in the words of the domain."""
    top_k = parameters.top_k
    wants_logprobs = isinstance(parameters, Parameters) and bool(parameters.logprobs)
    return Sampling(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=None if top_k is None or top_k > _OFF_TOP_K else top_k,
        max_tokens=parameters.output_limit,
        stop=_stop_strings(parameters.stop),
        stop_ids=_stop_ids(parameters.stop),
        seed=parameters.seed,
        presence_penalty=parameters.presence_penalty,
        frequency_penalty=parameters.frequency_penalty,
        repetition_penalty=parameters.repetition_penalty,
        logit_bias=parameters.logit_bias or None,
        n_choices=parameters.n or 1,
        wants_logprobs=wants_logprobs,
        n_top_logprobs=(parameters.top_logprobs or 0) if isinstance(parameters, Parameters) and wants_logprobs else 0,
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


def _rendered(wanted: ResponseFormat) -> bytes:
    fields: dict[str, str | Raw] = {"type": wanted.type}
    if wanted.json_schema != _NULL:
        fields["json_schema"] = wanted.json_schema
    return msgspec.json.encode(fields)


def _stop_strings(stop: Stop) -> tuple[str, ...]:
    """Return the stops that are text; an empty one stops nothing.

    Raises:
        InvalidParameter: the elements are of more than one type, or a sequence of ids is empty.
    """
    if stop is None:
        return ()
    if isinstance(stop, str):
        return (stop,) if stop else ()
    if len({type(item) for item in stop}) > 1 or [] in stop:
        raise InvalidParameter(BAD_STOP, param="stop")
    return tuple(item for item in stop if isinstance(item, str) and item)


def _stop_ids(stop: Stop) -> tuple[tuple[int, ...], ...]:
    """Return the stops that are token ids; a list of ids is one stop for each of them."""
    if stop is None or isinstance(stop, str):
        return ()
    return tuple((item,) if isinstance(item, int) else tuple(item) for item in stop if not isinstance(item, str))
