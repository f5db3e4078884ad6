"""What a request demands of the engine that is to answer it, and the refusals where that engine cannot.

The one place where abilities are checked (PROTOCOL.md §3.2, §9.1: after limits, before files). Knows no surface: the
words are the documented ones, which both share.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from longscroll.engines.base import Ability, Engine
from longscroll.errors import InvalidParameter, ModelUnavailable
from longscroll.services.models import Model
from longscroll.tokens import TokenCounter
from longscroll.types import ChatRequest

NO_TOOLS = "The tool call is not supported."
NO_CHOICES = "Range of n should be [1, 1]"
NO_LOGPROBS = "This model does not support logprobs."
NO_RESPONSE_FORMAT = "response_format of this type is not supported by this model."
BAD_STOP = (
    'The "stop" parameter must be of type "str", "list[str]", "list[int]", or "list[list[int]]", and all elements '
    "within the list must be of the same type."
)


class Demand(Struct, frozen=True):
    """One thing that not every engine can do: when it is asked for, and the words where it cannot be had."""

    ability: Ability
    is_made: Callable[[ChatRequest], bool]
    text: str
    param: str


DEMANDS = (
    Demand(Ability.TOOLS, lambda request: request.form.tools is not None, NO_TOOLS, "tools"),
    Demand(Ability.CHOICES, lambda request: request.sampling.n_choices > 1, NO_CHOICES, "n"),
    Demand(Ability.LOGPROBS, lambda request: request.sampling.wants_logprobs, NO_LOGPROBS, "logprobs"),
    Demand(Ability.JSON, lambda request: request.form.format == "json_object", NO_RESPONSE_FORMAT, "response_format"),
    Demand(
        Ability.JSON_SCHEMA, lambda request: request.form.format == "json_schema", NO_RESPONSE_FORMAT, "response_format"
    ),
)
"""In the order in which they are checked."""

SPECIAL_TOKENS = {151643: "<|endoftext|>", 151644: "<|im_start|>", 151645: "<|im_end|>"}
"""Ids beyond the vocabulary that clients give as stops; the ends of turns among them."""


def meet(request: ChatRequest, model: Model, engine: Engine, counter: TokenCounter) -> ChatRequest:
    """Return a request that the engine can meet: stops as text, and no more output than the model may write.

    Raises:
        InvalidParameter: the engine lacks an ability, or a token id stands for no text.
    """
    for demand in DEMANDS:
        if demand.is_made(request) and demand.ability not in engine.abilities:
            raise InvalidParameter(demand.text, param=demand.param)
    sampling = request.sampling
    if sampling.stop_ids:
        stops = (*sampling.stop, *(_text_of(ids, counter) for ids in sampling.stop_ids))
        sampling = structs.replace(sampling, stop=stops, stop_ids=())
    if sampling.max_tokens is None and model.max_output_tokens is not None:
        sampling = structs.replace(sampling, max_tokens=model.max_output_tokens)
    return request if sampling is request.sampling else structs.replace(request, sampling=sampling)


def _text_of(ids: tuple[int, ...], counter: TokenCounter) -> str:
    """Return the text that a sequence of token ids stands for."""
    special = [SPECIAL_TOKENS[token] for token in ids if token in SPECIAL_TOKENS]
    if special:
        return special[0]  # an answer ends there whatever stands before
    try:
        return counter.decode(ids)
    except (ModelUnavailable, ValueError) as error:
        raise InvalidParameter(BAD_STOP, param="stop") from error
