from __future__ import annotations

import pytest
from msgspec import structs

from longscroll.engines.base import Ability
from longscroll.engines.scripted import Scripted
from longscroll.errors import InvalidParameter
from longscroll.services.demands import (
    BAD_STOP,
    NO_CHOICES,
    NO_LOGPROBS,
    NO_RESPONSE_FORMAT,
    NO_TOOLS,
    meet,
)
from longscroll.services.models import Model
from longscroll.tokens import EstimatedCounter, TokenCounter, load_counter
from longscroll.types import AnswerForm, ChatRequest, Message, Sampling

ASKED = ChatRequest(workspace="w", request_id="r", model="m", messages=(Message(role="user", content="hi"),))


def model(
    *, abilities: frozenset[Ability] = frozenset(), max_output_tokens: int | None = None
) -> tuple[Model, Scripted]:
    engine = Scripted(())
    engine.abilities = abilities
    made = Model(
        name="m", aliases=(), engine=engine, served_name="m", citations="off", max_output_tokens=max_output_tokens
    )
    return made, engine


def met(request: ChatRequest, *, counter: TokenCounter | None = None, **fields: int) -> ChatRequest:
    return meet(request, *model(**fields), counter or load_counter())  # type: ignore[arg-type]


def sampling(**fields: object) -> ChatRequest:
    return structs.replace(ASKED, sampling=Sampling(**fields))  # type: ignore[arg-type]


def form(**fields: object) -> ChatRequest:
    return structs.replace(ASKED, form=AnswerForm(**fields))  # type: ignore[arg-type]


DEMANDED = [
    pytest.param(form(tools=b"[{}]"), Ability.TOOLS, NO_TOOLS, "tools"),
    pytest.param(sampling(n_choices=2), Ability.CHOICES, NO_CHOICES, "n", marks=pytest.mark.item(96)),
    pytest.param(sampling(wants_logprobs=True), Ability.LOGPROBS, NO_LOGPROBS, "logprobs"),
    pytest.param(
        form(format="json_object"), Ability.JSON, NO_RESPONSE_FORMAT, "response_format", marks=pytest.mark.item(97)
    ),
    pytest.param(form(format="json_schema"), Ability.JSON_SCHEMA, NO_RESPONSE_FORMAT, "response_format"),
]


@pytest.mark.parametrize(("request_", "ability", "text", "param"), DEMANDED)
def test_what_an_engine_cannot_do_is_refused_in_the_documented_words(
    request_: ChatRequest, ability: Ability, text: str, param: str
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        meet(request_, *model(abilities=frozenset(Ability) - {ability}), load_counter())
    assert (str(caught.value), caught.value.param) == (text, param)


@pytest.mark.parametrize(("request_", "ability", "text", "param"), DEMANDED)
def test_what_an_engine_can_do_passes(request_: ChatRequest, ability: Ability, text: str, param: str) -> None:
    assert meet(request_, *model(abilities=frozenset({ability})), load_counter()) == request_


@pytest.mark.item(95)
@pytest.mark.parametrize(
    ("ids", "text"),
    [((46100,), "代码"), ((46100, 101933), "代码改变"), ((151645,), "<|im_end|>"), ((46100, 151645), "<|im_end|>")],
)
def test_token_ids_stop_at_the_text_they_stand_for(ids: tuple[int, ...], text: str) -> None:
    counter = load_counter()
    if not counter.is_exact:
        pytest.skip("the vocabulary is not installed")
    assert met(sampling(stop_ids=(ids,)), counter=counter) == sampling(stop=(text,))


@pytest.mark.item(95)
@pytest.mark.parametrize("ids", [(999_999,), (-1,), (160,)])
def test_token_ids_without_a_text_are_refused(ids: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        met(sampling(stop_ids=(ids,)))
    assert (str(caught.value), caught.value.param) == (BAD_STOP, "stop")


def test_without_the_vocabulary_no_token_id_has_a_text() -> None:
    with pytest.raises(InvalidParameter, match="must be of type"):
        met(sampling(stop_ids=((46100,),)), counter=EstimatedCounter())


@pytest.mark.item(106)
@pytest.mark.parametrize(("asked", "most", "expected"), [(None, 50, 50), (7, 50, 7), (None, None, None), (7, None, 7)])
def test_the_models_limit_holds_where_the_request_names_none(
    asked: int | None, most: int | None, expected: int | None
) -> None:
    request = meet(sampling(max_tokens=asked), *model(max_output_tokens=most), load_counter())
    assert request.sampling.max_tokens == expected
