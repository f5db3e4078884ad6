"""What a chat takes of a limit, and the row that it leaves."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from factories.service import WORKSPACE, LocalService, local_service
from factories.storage import NOON
from longscroll.access.limits import LimitOptions
from longscroll.engines.faults import Fault
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import EngineError, InvalidFile, StorageFull, TokenRateExceeded
from longscroll.services.chat import EXPECTED_ANSWER_TOKENS
from longscroll.storage.base import UsageRecord
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Message, Sampling

BEES = "The lighthouse was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
HELLO = ("user", "go")
N_INPUT = 9  # of that, with its frame
N_USED = N_INPUT + 6
ANSWER = Rule(deltas=("One two ", "three four ", "five."))
BREAKS = Rule(deltas=("One two ", "three four "), fault=Fault(error="InternalError.Algo", after=2))


def rows(service: LocalService) -> list[UsageRecord]:
    return list(service.usage.rows.values())


@pytest.mark.item(82)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_leaves_one_row_that_equals_its_usage(is_streamed: bool) -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        turns = (("system", f"fileid://{file.id}"), ("user", "Who kept bees?"))
        fields: dict[str, Any] = {
            "key_id": "key-1",
            "request_id": "r-1",
            "is_streamed": is_streamed,
            "surface": "dashscope",
        }
        events = await service.ask(*turns, **fields)
        [row] = rows(service)
    finish = events[-1]
    assert isinstance(finish, Finish)
    usage = finish.usage
    assert row == UsageRecord(
        request_id="r-1",
        workspace=WORKSPACE,
        key_id="key-1",
        model="qwen-long",
        model_served="qwen-long",
        operation="chat",
        surface="dashscope",
        is_streamed=is_streamed,
        n_input=usage.n_input_tokens,
        n_output=usage.n_output_tokens,
        n_read=usage.n_read_tokens,
        file_ids=(file.id,),
        first_token_ms=0.0,
        at=NOON,
    )
    assert row.n_read > 0


@pytest.mark.item(81)
async def test_a_refused_chat_leaves_no_row() -> None:
    engine = Scripted([Rule(fault=Fault(error="ModelUnavailable"))])
    async with local_service(engine=engine) as service:
        with pytest.raises(InvalidFile):
            await service.ask(("system", "fileid://file-fe-0"), HELLO, key_id="key-1", is_streamed=True)
        with pytest.raises(EngineError):
            await service.ask(HELLO, model="scripted", key_id="key-1", is_streamed=True)
        assert rows(service) == []


async def test_a_stream_whose_engine_breaks_leaves_what_was_told() -> None:
    async with local_service(engine=Scripted([BREAKS])) as service:
        with pytest.raises(EngineError):
            await service.ask(HELLO, model="scripted", key_id="key-1", is_streamed=True)
        [row] = rows(service)
    assert (row.outcome, row.code, row.n_output) == ("failed", "EngineFailed", 5)  # its last space too


def asking(service: LocalService, **fields: Any) -> AsyncGenerator[ChatEvent, None]:
    standard = {"workspace": WORKSPACE, "key_id": "key-1", "request_id": "r-1", "model": "scripted"}
    return service.chat.answer(ChatRequest(**(standard | fields), messages=(Message(role="user", content="go"),)))


async def test_a_client_that_leaves_a_stream_leaves_what_it_was_told() -> None:
    async with local_service(engine=Scripted([ANSWER])) as service:
        async with aclosing(asking(service, is_streamed=True)) as events:
            first = await anext(events)
        [row] = rows(service)
    assert isinstance(first, Delta)
    assert (row.outcome, row.n_input, row.n_output) == ("cancelled", N_INPUT, first.n_output_tokens)


async def test_a_stream_that_tells_no_counts_leaves_the_same_row() -> None:
    async with local_service(engine=Scripted([ANSWER])) as service:
        async with aclosing(asking(service, is_streamed=True, counts_deltas=False)) as events:
            first = await anext(events)
        [row] = rows(service)
    assert first == Delta(text="One two ")
    assert (row.outcome, row.n_input, row.n_output) == ("cancelled", N_INPUT, 3)


async def test_a_client_that_leaves_before_a_whole_answer_leaves_no_row() -> None:
    async with local_service(engine=Scripted([ANSWER])) as service:
        async with aclosing(asking(service)) as events:
            await anext(events)
        assert rows(service) == []


@pytest.mark.item(78)
@pytest.mark.parametrize(
    ("sampling", "n_reserved"),
    [
        (Sampling(), N_INPUT + EXPECTED_ANSWER_TOKENS),
        (Sampling(max_tokens=40), N_INPUT + 40),
        (Sampling(max_tokens=40, n_choices=2), N_INPUT + 80),
    ],
)
async def test_a_chat_reserves_its_input_and_the_answer_that_is_expected(sampling: Sampling, n_reserved: int) -> None:
    limit = LimitOptions(tokens_per_minute=2 * n_reserved)
    async with (
        local_service(engine=Scripted([ANSWER]), limits=[limit]) as service,
        aclosing(asking(service, sampling=sampling)) as one,
        aclosing(asking(service, sampling=sampling)) as another,
        aclosing(asking(service, sampling=Sampling(max_tokens=1))) as greedy,
    ):
        await anext(one)
        await anext(another)
        with pytest.raises(TokenRateExceeded):
            await anext(greedy)


@pytest.mark.item(78)
async def test_a_limit_is_charged_what_the_answers_really_had() -> None:
    limit = LimitOptions(tokens_per_minute=N_INPUT + EXPECTED_ANSWER_TOKENS + N_USED)
    async with local_service(engine=Scripted([ANSWER]), limits=[limit]) as service:
        for _ in range(2):
            await service.ask(HELLO, model="scripted")
        with pytest.raises(TokenRateExceeded):
            await service.ask(HELLO, model="scripted")


async def test_a_refused_chat_is_charged_nothing() -> None:
    limit = LimitOptions(tokens_per_minute=N_INPUT + EXPECTED_ANSWER_TOKENS)
    engine = Scripted([Rule(fault=Fault(error="ModelUnavailable"), times=3), ANSWER])
    async with local_service(engine=engine, limits=[limit]) as service:
        for _ in range(3):
            with pytest.raises(EngineError):
                await service.ask(HELLO, model="scripted")
        await service.ask(HELLO, model="scripted")


async def test_an_exempt_chat_passes_every_limit_and_is_recorded() -> None:
    limit = LimitOptions(tokens_per_minute=1)
    async with local_service(engine=Scripted([ANSWER]), limits=[limit]) as service:
        for number in range(3):
            await service.ask(HELLO, model="scripted", is_exempt=True, key_id="key-1", request_id=f"line-{number}")
        assert len(rows(service)) == 3


async def test_on_a_full_disk_answers_go_on_and_their_rows_wait() -> None:
    async with local_service(engine=Scripted([ANSWER])) as service:
        service.usage.refusal = StorageFull("No space is left for the database.")
        events = await service.ask(HELLO, model="scripted", key_id="key-1")
        service.usage.refusal = None
    assert isinstance(events[-1], Finish)
    assert [row.n_output for row in rows(service)] == [6]
