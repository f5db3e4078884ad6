"""In which order a request is refused, and what it takes of a limit until it ends."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Struct

from factories.requests import make_request
from factories.wire import NARROW_KEY, PRINCIPALS, make_catalog
from longscroll.access.limits import LimitOptions, Limits
from longscroll.errors import (
    ConcurrencyExceeded,
    EngineFailed,
    EngineRefused,
    InputTooLong,
    InvalidBody,
    InvalidParameter,
    LongscrollError,
    MissingModel,
    ModelAccessDenied,
    ModelNotFound,
    RequestRateExceeded,
    TokenRateExceeded,
)
from longscroll.protocols.admission import Gate
from longscroll.protocols.exchange import Request


class Body(Struct):
    """A body with a model and one field that has a type."""

    model: str | None = None
    n: int | None = None


decoder = msgspec.json.Decoder(Body)


ONE_A_MINUTE = LimitOptions(requests_per_minute=1)
ONE_AT_ONCE = LimitOptions(concurrent_requests=1)


def gate(*limits: LimitOptions) -> Gate:
    return Gate(make_catalog(), Limits(limits, clock=lambda: 0.0))


def asking(model: object = "qwen-long", n: object = 1) -> Request:
    return make_request(json.dumps({"model": model, "n": n}).encode())


async def refusal(gate: Gate, request: Request) -> type[LongscrollError]:
    with pytest.raises(LongscrollError) as raised:
        await gate.admit(request, decoder)
    return raised.type


@pytest.mark.item(78)
@pytest.mark.parametrize("n", [1, "many"])
async def test_a_limit_is_checked_before_the_types_of_fields(n: object) -> None:
    admitting = gate(ONE_A_MINUTE)
    await admitting.admit(asking(), decoder)
    assert await refusal(admitting, asking(n=n)) is RequestRateExceeded


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", InvalidBody),
        (b'{"n": "many"}', MissingModel),
        (b'{"model": "", "n": "many"}', MissingModel),
        (b'{"model": 7, "n": "many"}', InvalidParameter),
        (b'{"model": "nobody", "n": "many"}', ModelNotFound),
    ],
)
async def test_a_model_is_looked_for_before_a_limit_and_before_the_types_of_fields(
    body: bytes, expected: type[LongscrollError]
) -> None:
    admitting = gate(ONE_A_MINUTE)
    await admitting.admit(asking(), decoder)
    assert await refusal(admitting, make_request(body)) is expected


async def test_a_right_is_asked_for_before_a_limit() -> None:
    admitting, foreign = gate(ONE_A_MINUTE), asking(n="many")
    await admitting.admit(asking(), decoder)
    foreign.principal = PRINCIPALS[NARROW_KEY]
    assert await refusal(admitting, foreign) is ModelAccessDenied


async def test_a_field_of_the_wrong_type_is_refused_last() -> None:
    assert await refusal(gate(), asking(n="many")) is InvalidParameter


async def test_what_is_exempt_is_never_limited() -> None:
    admitting = gate(ONE_A_MINUTE)
    await admitting.admit(asking(), decoder)
    line = asking()
    line.is_exempt = True
    assert await admitting.admit(line, decoder) == ("qwen-long", Body(model="qwen-long", n=1))
    assert await admitting.admit(asking(), decoder, is_limited=False) == ("qwen-long", Body(model="qwen-long", n=1))


async def test_a_request_runs_until_it_ends() -> None:
    admitting, first = gate(ONE_AT_ONCE), asking()
    await admitting.admit(first, decoder)
    assert await refusal(admitting, asking()) is ConcurrencyExceeded
    first.end()
    await admitting.admit(asking(), decoder)


@pytest.mark.parametrize(
    ("error", "is_counted"),
    [
        (None, True),
        (EngineFailed("x"), True),
        (EngineRefused("x"), True),
        (InputTooLong("x"), True),
        (InvalidParameter("x"), False),
        (TokenRateExceeded(), False),
    ],
)
async def test_only_what_is_refused_unworked_for_gives_back_what_it_took_of_the_minute(
    error: LongscrollError | None, *, is_counted: bool
) -> None:
    admitting, first, second = gate(ONE_A_MINUTE), asking(), asking()
    await admitting.admit(first, decoder)
    first.error = error
    first.end()
    if is_counted:
        assert await refusal(admitting, second) is RequestRateExceeded
    else:
        await admitting.admit(second, decoder)
