"""Several conversations of one request: their choices, their one row, and what they take of a limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from factories.service import WORKSPACE, LocalService, local_service
from longscroll.access.limits import LimitOptions
from longscroll.engines.base import Engine, EngineUsage, Evidence
from longscroll.engines.faults import Fault
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import EngineError, InvalidFile, TokenRateExceeded, TooManyFiles
from longscroll.reading.reader import EvidenceFound, Reader, ReadingFinish, ReadingRequest
from longscroll.services.chat import EXPECTED_ANSWER_TOKENS
from longscroll.services.in_turn import answer_in_turn
from longscroll.services.references import MAX_FILES
from longscroll.storage.base import UsageRecord
from longscroll.tokens import count_chat, load_counter
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Message, Progress, Sampling

RULES = (
    Rule(message="bad", deltas=("One ", "two "), fault=Fault(error="InternalError.Algo", after=1)),
    Rule(message="long", deltas=("One two ", "three."), finish="length"),
    Rule(deltas=("Four five ", "six.")),
)


def request(*prompts: str, **fields: Any) -> ChatRequest:
    first, *further = ((Message(role="user", content=prompt),) for prompt in prompts)
    standard = {"workspace": WORKSPACE, "key_id": "key-1", "request_id": "r-1", "model": "scripted"}
    return ChatRequest(**(standard | fields), messages=first, further=tuple(further))


async def answered(service: LocalService, *prompts: str, **fields: Any) -> list[ChatEvent]:
    return [event async for event in service.chat.answer(request(*prompts, **fields))]


def texts(events: Sequence[ChatEvent]) -> dict[int, str]:
    said: dict[int, str] = {}
    for event in events:
        if isinstance(event, Delta):
            said[event.choice] = said.get(event.choice, "") + event.text
    return said


def rows(service: LocalService) -> list[UsageRecord]:
    return list(service.usage.rows.values())


def count(*prompts: str) -> int:
    counter = load_counter()
    return sum(count_chat(counter, [("user", counter.count(prompt))]) for prompt in prompts)


@pytest.mark.item(115)
async def test_choices_are_numbered_through() -> None:
    async with local_service(engine=Scripted(RULES)) as service:
        events = await answered(service, "long", "go", sampling=Sampling(n_choices=2))
    long, short = "One two three.", "Four five six."
    assert texts(events) == {0: long, 1: long, 2: short, 3: short}
    assert isinstance(events[-1], Finish)
    assert events[-1].reasons == ("length", "length", "stop", "stop")


@pytest.mark.item(82, 115)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_one_row_has_the_sums_under_the_request_s_own_id(is_streamed: bool) -> None:
    counter = load_counter()
    async with local_service(engine=Scripted(RULES)) as service:
        events = await answered(service, "long", "go", is_streamed=is_streamed)
        [row] = rows(service)
    n_output = sum(map(counter.count, texts(events).values()))
    assert (row.request_id, row.outcome, row.n_input, row.n_output) == ("r-1", "ok", count("long", "go"), n_output)
    assert isinstance(events[-1], Finish)
    assert (events[-1].usage.n_input_tokens, events[-1].usage.n_output_tokens) == (row.n_input, row.n_output)


@pytest.mark.item(90)
async def test_each_conversation_reads_and_bills_its_own_file() -> None:
    async with local_service() as service:
        bees = await service.parsed("Ada Thornbury kept bees in the lamp room.")
        cats = await service.parsed("Bela Kovacs kept cats in the engine room.")
        prompts = [f"fileid://{file.id} Who kept animals?" for file in (bees, cats)]
        events = await answered(service, *prompts, model="qwen-long", wants_report=True)
        [row] = rows(service)
    said = texts(events)
    assert ("Ada" in said[0], "Bela" in said[0], "Ada" in said[1], "Bela" in said[1]) == (True, False, False, True)
    assert row.file_ids == (bees.id, cats.id)
    n_files = (bees.n_tokens or 0) + (cats.n_tokens or 0)
    assert row.n_input == n_files + count("Who kept animals?", "Who kept animals?")
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert finish.report is not None
    assert [source.file_id for source in finish.report.sources] == [bees.id, cats.id]
    assert row.n_read == sum(source.n_tokens_read for source in finish.report.sources)


async def test_what_engines_tell_of_all_is_added_up() -> None:
    usage = EngineUsage(n_input_tokens=7, n_output_tokens=3, n_cached_tokens=2)
    async with local_service(engine=Scripted([Rule(deltas=("One",), usage=usage)])) as service:
        await answered(service, "a", "b", "c")
        [row] = rows(service)
    assert (row.n_input, row.n_output, row.n_cached) == (21, 9, 6)


@pytest.mark.item(81)
async def test_an_answer_that_is_not_whole_leaves_no_row_and_charges_no_limit() -> None:
    limit = LimitOptions(tokens_per_minute=count("go", "go", "bad") + 3 * EXPECTED_ANSWER_TOKENS)
    async with local_service(engine=Scripted(RULES), limits=[limit]) as service:
        for _ in range(3):
            with pytest.raises(EngineError):
                await answered(service, "go", "go", "bad")
        assert rows(service) == []


@pytest.mark.item(82)
async def test_a_stream_that_breaks_in_a_later_conversation_leaves_one_row_of_what_was_told() -> None:
    counter = load_counter()
    async with local_service(engine=Scripted(RULES)) as service:
        with pytest.raises(EngineError):
            await answered(service, "go", "bad", is_streamed=True)
        [row] = rows(service)
    assert (row.outcome, row.n_input) == ("failed", count("go", "bad"))
    assert row.n_output >= counter.count("Four five six.") + counter.count("One")


@pytest.mark.item(78)
async def test_tokens_of_all_conversations_are_reserved_before_any_is_answered() -> None:
    limit = LimitOptions(tokens_per_minute=2 * (count("go", "go") + 2 * 40))
    asked = request("go", "go", sampling=Sampling(max_tokens=40))
    async with (
        local_service(engine=Scripted(RULES), limits=[limit]) as service,
        aclosing(service.chat.answer(asked)) as one,
        aclosing(service.chat.answer(asked)) as another,
        aclosing(service.chat.answer(request("go", sampling=Sampling(max_tokens=1)))) as greedy,
    ):
        await anext(one)
        await anext(another)
        with pytest.raises(TokenRateExceeded):
            await anext(greedy)


async def test_a_file_that_cannot_be_found_is_refused_before_any_is_answered() -> None:
    async with (
        local_service(engine=Scripted(RULES)) as service,
        aclosing(service.chat.answer(request("go", "fileid://file-fe-0 bad"))) as events,
    ):
        with pytest.raises(InvalidFile):
            await anext(events)


async def test_all_conversations_together_may_name_as_many_files_as_one() -> None:
    half = " ".join(f"fileid://file-fe-{number}" for number in range(MAX_FILES))
    async with local_service(engine=Scripted(RULES)) as service:
        with pytest.raises(TooManyFiles):
            await answered(service, f"{half} a", "fileid://file-fe-more b")


class ToldReader(Reader):
    """Answers every question alike."""

    def __init__(self) -> None:
        pass

    async def answer(
        self, request: ReadingRequest, engine: Engine
    ) -> AsyncGenerator[Progress | EvidenceFound | Delta | ReadingFinish, None]:
        """Read, find, write, end."""
        evidence = Evidence(plan="none", plan_reason="")
        yield Progress(stage="reading")
        yield EvidenceFound()
        yield Delta(text=request.question)
        yield ReadingFinish(reasons=("stop",), evidence=evidence, sources=(), abstained=False, engine_usage=None)


async def test_documents_are_needed_until_the_last_conversation_has_its_evidence() -> None:
    readings = [ReadingRequest(workspace=WORKSPACE, model="scripted", question=question) for question in ("a", "b")]
    answering = answer_in_turn(ToldReader(), readings, Scripted(RULES))
    kinds = [type(event) async for event in answering]
    assert kinds == [Progress, Delta, Progress, EvidenceFound, Delta, ReadingFinish]
