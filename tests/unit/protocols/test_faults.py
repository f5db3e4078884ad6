"""The header that asks for a fault: its grammar, and what is made of an answer before it strikes."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from factories.requests import make_request
from longscroll.engines.faults import Fault
from longscroll.errors import InvalidParameter, LongscrollError
from longscroll.protocols.exchange import EventStream, Request, Route
from longscroll.protocols.faults import fallible, parse_fault
from longscroll.types import ChatEvent, Delta


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("Throttling.RateQuota", Fault(error="Throttling.RateQuota")),
        (
            "limit_requests; after=3; retry_after_s=2",
            Fault(error="limit_requests", after=3, retry_after_s=2),
        ),
        (" cut ;after= 1 ; ", Fault(error="cut", after=1)),
        ('413 BadRequest.TooLarge; message="Too much."', Fault(error="413 BadRequest.TooLarge", message="Too much.")),
        ("slow;delay_s=0.5", Fault(error="slow", delay_s=0.5)),
    ],
)
def test_a_header_is_a_name_and_settings(value: str, fault: Fault) -> None:
    assert parse_fault(value) == fault


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r"any of after, delay_s, message, retry_after_s, .*got 'fire'"):
        parse_fault("fire")


async def test_no_more_of_an_answer_is_made_than_comes_before_the_fault() -> None:
    made: list[ChatEvent] = []

    async def events() -> AsyncGenerator[ChatEvent, None]:
        for text in ("a", "b", "c"):
            made.append(Delta(text=text))
            yield made[-1]

    async def handle(_request: Request) -> EventStream:
        return EventStream(events=events(), render=no_bytes, fail=no_bytes, heartbeat=bytes)

    route = fallible(Route(method="POST", path="/v1/x", scope=None, handler=handle))
    answer = await route.handler(make_request(headers={"x-longscroll-fault": "InternalError.Algo; after=2"}))
    assert isinstance(answer, EventStream)
    with pytest.raises(LongscrollError):
        [event async for event in answer.events]
    assert made == [Delta(text="a"), Delta(text="b")]


def no_bytes(_subject: object) -> bytes:
    return b""
