from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from longscroll.engines.base import Ability, EngineEvent, EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.extractive import Extractive
from longscroll.errors import DocumentError
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import Source
from longscroll.reading.pool import PoolOptions, Readers
from longscroll.reading.reader import Reader, ReadingFinish, ReadingRequest, language_of
from longscroll.tokens import EstimatedCounter
from longscroll.types import CitationMode, Delta, Message, Progress, Sampling

TESLA = "Nikola Tesla was born in Smiljan. He died in New York on 7 January 1943."


class Writer:
    """An engine that writes what it is told and keeps the prompt it got."""

    writes_marks = True
    abilities: frozenset[Ability] = frozenset()

    def __init__(
        self, texts: Iterable[str], context_window: int | None = 8000, usage: EngineUsage | None = None
    ) -> None:
        self.context_window = context_window
        self.usage = usage or EngineUsage(n_input_tokens=5)
        self.prompts: list[Prompt] = []
        self.is_closed = False
        self._texts = list(texts)

    async def generate(self, prompt: Prompt) -> AsyncIterator[EngineEvent]:
        self.prompts.append(prompt)
        try:
            for text in self._texts:
                yield Text(text)
            yield EngineFinish("length", self.usage)
        finally:
            self.is_closed = True


@pytest.fixture(scope="module")
def counter() -> EstimatedCounter:
    return EstimatedCounter()


@pytest.fixture
async def readers() -> AsyncIterator[Readers]:
    pool = Readers(PoolOptions(), ReadingOptions())
    await pool.start()
    yield pool
    await pool.stop()


def request(
    question: str = "When did Tesla die?", inline: str | None = TESLA, citations: CitationMode = "annotations"
) -> ReadingRequest:
    sources = (Source(document=0, workspace="ws", filename="tesla.txt", inline=inline),) if inline is not None else ()
    return ReadingRequest(workspace="ws", model="m", question=question, sources=sources, citations=citations)


async def events_of(
    reader: Reader, asked: ReadingRequest, engine: Writer | Extractive
) -> tuple[str, list[Delta], ReadingFinish]:
    deltas, finish = [], None
    async for event in reader.answer(asked, engine):
        if isinstance(event, Delta):
            deltas.append(event)
        elif isinstance(event, ReadingFinish):
            finish = event
    assert finish is not None
    return "".join(delta.text for delta in deltas), deltas, finish


async def test_the_embedded_engine_answers_with_a_quote_of_the_document(
    readers: Readers, counter: EstimatedCounter
) -> None:
    text, deltas, finish = await events_of(Reader(readers, counter), request(), Extractive(readers.compose, counter))
    assert text == f"7 January 1943 [1]\n\n“{TESLA}” [1]"
    annotation, _ = [annotation for delta in deltas for annotation in delta.annotations]
    assert text[annotation.start_index : annotation.end_index] == "[1]"
    assert TESLA[slice(*annotation.citation.span)] == annotation.citation.quote == TESLA
    assert (finish.evidence.plan, finish.abstained, finish.sources[0].filename) == ("lookup", False, "tesla.txt")


async def test_a_model_reads_the_document_and_its_marks_become_citations(
    readers: Readers, counter: EstimatedCounter
) -> None:
    engine = Writer(["He died ", "in 1943 [", "1] [9]."])
    text, deltas, finish = await events_of(Reader(readers, counter), request(), engine)
    assert text == "He died in 1943 [1]."
    assert deltas[-1].annotations[0].citation.quote == "He died in New York on 7 January 1943."
    assert "### [1] tesla.txt\n" + TESLA in engine.prompts[0].messages[0].content
    assert (finish.evidence.plan, finish.reasons, finish.engine_usage) == (
        "whole",
        ("length",),
        EngineUsage(n_input_tokens=5),
    )


async def test_without_documents_the_conversation_goes_to_the_engine_as_it_is(
    readers: Readers, counter: EstimatedCounter
) -> None:
    engine = Writer(["As in [1]."])
    asked = ReadingRequest(
        workspace="ws", model="m", question="And now?", behavior=("Be brief.",),
        history=(Message(role="user", content="Hi"), Message(role="assistant", content="Hello")),
        sampling=Sampling(seed=3),
    )  # fmt: skip
    text, _, finish = await events_of(Reader(readers, counter), asked, engine)
    assert (text, finish.evidence.plan) == ("As in [1].", "none")
    assert [turn.role for turn in engine.prompts[0].messages] == ["system", "user", "assistant", "user"]
    assert engine.prompts[0].sampling == Sampling(seed=3)


async def test_progress_is_told_before_documents_are_read(readers: Readers, counter: EstimatedCounter) -> None:
    events = [event async for event in Reader(readers, counter).answer(request(), Writer(["x"]))]
    assert events[0] == Progress(stage="reading")


async def test_the_conversation_and_the_answer_take_room_from_the_documents(
    readers: Readers, counter: EstimatedCounter
) -> None:
    engine = Writer(["x"], context_window=1000)
    asked = request(inline=TESLA + " Some more words of the story." * 80)
    _, _, finish = await events_of(Reader(readers, counter), asked, engine)
    assert finish.evidence.plan == "lookup"
    assert 0 < finish.evidence.n_tokens_read < 1000 - 400 - 250


async def test_the_same_documents_have_the_same_affinity_in_one_workspace_only(
    readers: Readers, counter: EstimatedCounter
) -> None:
    engine = Writer(["x"])
    reader = Reader(readers, counter)
    for asked in (request(), request("Who?"), request(inline="Tesla."), ReadingRequest(
        workspace="other", model="m", question="Who?", sources=request().sources)):  # fmt: skip
        await events_of(reader, asked, engine)
    first, again, other_text, other_workspace = (prompt.affinity for prompt in engine.prompts)
    assert first == again
    assert len({first, other_text, other_workspace}) == 3


async def test_every_prompt_of_a_workspace_carries_its_salt_whatever_is_asked(
    readers: Readers, counter: EstimatedCounter
) -> None:
    engine = Writer(["x"])
    reader = Reader(readers, counter, salt=lambda workspace: f"salt of {workspace}")
    for workspace, sources in (("acme", request().sources), ("acme", ()), ("other", request().sources)):
        await events_of(
            reader, ReadingRequest(workspace=workspace, model="m", question="Who?", sources=sources), engine
        )
    assert [prompt.cache_salt for prompt in engine.prompts] == ["salt of acme", "salt of acme", "salt of other"]


async def test_a_slow_engine_is_asked_by_lookup_until_it_has_the_documents(
    readers: Readers, counter: EstimatedCounter
) -> None:
    seconds = iter([0.0, 100.0])
    reader = Reader(readers, counter, clock=lambda: next(seconds, 200.0))
    long, other = (f"{TESLA} {word} " + "and so on. " * 1500 for word in ("One", "Another"))
    plans = []
    for inline in (long, other, long):
        engine = Writer(["x"], context_window=32_000, usage=EngineUsage(n_input_tokens=4000))
        _, _, finish = await events_of(reader, request(inline=inline), engine)
        plans.append(finish.evidence.plan)
    assert plans == ["whole", "lookup", "whole"]


async def test_closing_the_answer_closes_the_engine(readers: Readers, counter: EstimatedCounter) -> None:
    engine = Writer(["one", "two"])
    answer = Reader(readers, counter).answer(request(), engine)
    async for event in answer:
        if isinstance(event, Delta):
            break
    await answer.aclose()
    assert engine.is_closed


async def test_an_error_of_a_document_reaches_the_caller(readers: Readers, counter: EstimatedCounter) -> None:
    with pytest.raises(DocumentError):
        await events_of(Reader(readers, counter), request(inline=" "), Writer(["x"]))


@pytest.mark.parametrize(
    ("question", "behavior", "language"),
    [
        ("Who is it?", (), "en"),
        ("他是谁？", (), "zh"),
        ("What does 道 mean?", (), "en"),
        ("他是谁？请用英文回答", (), "en"),
        ("Who is it? Answer in Chinese.", (), "zh"),
        ("Who is it?", ("请用中文回答。",), "zh"),
    ],
)
def test_the_answer_is_in_the_language_asked_for_or_the_questions_own(
    question: str, behavior: tuple[str, ...], language: str
) -> None:
    assert language_of(question, behavior) == language
