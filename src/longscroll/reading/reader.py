"""The one path that every answer takes: plan and evidence, prompt, engine, cited deltas.

Owns the order of these. Runs on the event loop; the CPU work is done by reader processes. Knows no wire protocol, no
file's state and no billing: what a request means was decided above, what a model is below.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from msgspec import Struct

from longscroll.engines.base import Engine, EngineEvent, EngineFinish, EngineUsage, Evidence, Prompt
from longscroll.engines.instructions import language_asked_for
from longscroll.engines.sentences import is_chinese
from longscroll.reading.cite import Citer
from longscroll.reading.messages import Read, ReadTask, Source
from longscroll.reading.pace import Pace
from longscroll.reading.pool import Readers
from longscroll.reading.prompts import Language, render
from longscroll.tokens import TokenCounter
from longscroll.types import CitationMode, Delta, Message, Progress, Sampling, SourceReport

RULES_TOKENS = 400
"""Room for the rules, the headings around documents and the roles of messages."""
ANSWER_TOKENS = 1024
"""Room for an answer whose length the request leaves open, in a window that has it."""
SHORT_CHARS = 4000
"""Text that is counted, hashed or rendered within a millisecond."""
T = TypeVar("T")


class ReadingRequest(Struct, frozen=True, kw_only=True):
    """A question over documents, in no protocol's words."""

    workspace: str
    model: str  # as the engine knows it
    question: str  # the last user turn
    history: tuple[Message, ...] = ()  # the turns before it, without system messages
    behavior: tuple[str, ...] = ()  # system text that is neither a document nor a reference
    sources: tuple[Source, ...] = ()
    sampling: Sampling = Sampling()
    citations: CitationMode = "annotations"
    n_budget_tokens: int | None = None


class EvidenceFound(Struct, frozen=True):
    """All that the answer needs of the documents is in memory; they may go."""


class ReadingFinish(Struct, frozen=True, kw_only=True):
    """The end of an answer, and how it came about."""

    reason: Literal["stop", "length"]
    evidence: Evidence
    sources: tuple[SourceReport, ...]
    abstained: bool
    engine_usage: EngineUsage | None


class Reader:
    """Answers questions; ``counter`` measures what the conversation takes of an engine's window."""

    def __init__(self, readers: Readers, counter: TokenCounter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers = readers
        self._counter = counter
        self._clock = clock
        self._pace = Pace()

    async def answer(
        self, request: ReadingRequest, engine: Engine
    ) -> AsyncGenerator[Progress | EvidenceFound | Delta | ReadingFinish, None]:
        """Answer a question: Progress while reading, EvidenceFound, Deltas, one ReadingFinish.

        Closing it stops engine and reader.

        Raises:
            ConversationError: a document is gone. EngineError: the engine, or reading, failed.
            Overloaded: too many questions wait for a reader.
        """
        evidence = Evidence(plan="none", plan_reason="no documents in the conversation")
        sources: tuple[SourceReport, ...] = ()
        n_inline = sum(len(source.inline or "") for source in request.sources)
        affinity = await _aside(lambda: _affinity(request), n_inline)
        if request.sources:
            yield Progress(stage="reading")
            n_reserved = await _aside(lambda: self._n_reserved(request, engine.context_window), _n_said(request))
            read = await self._readers.read(self._task(request, engine, affinity, n_reserved))
            evidence, sources = read.evidence, _reports(request.sources, read)
        yield EvidenceFound()
        is_quoting = engine.context_window is None
        n_shown = 0 if is_quoting else sum(len(passage.text) for passage in evidence.passages) + _n_said(request)
        prompt = await _aside(lambda: _prompt(request, evidence, affinity, is_quoting=is_quoting), n_shown)
        citer = Citer(evidence, request.citations, reads_marks=engine.writes_marks)
        began, first_s, finish = self._clock(), None, EngineFinish()
        async with _closing(engine.generate(prompt)) as events:
            async for event in events:
                if first_s is None:
                    first_s = self._clock() - began
                if isinstance(event, EngineFinish):
                    finish = event
                elif delta := citer.feed(event):
                    yield delta
        if last := citer.close():
            yield last
        self._learn(request.model, prompt, finish, first_s or 0.0)
        yield ReadingFinish(
            reason=finish.reason,
            evidence=evidence,
            sources=sources,
            abstained=finish.abstained,
            engine_usage=finish.usage,
        )

    def _learn(self, model: str, prompt: Prompt, finish: EngineFinish, first_s: float) -> None:
        """Keep what this answer tells about the engine's reading, for the next plan."""
        if finish.usage is not None and prompt.messages:
            self._pace.note(model, finish.usage, first_s)
        if prompt.evidence.plan == "whole":
            self._pace.remember(model, prompt.affinity)

    def _task(self, request: ReadingRequest, engine: Engine, affinity: str, n_reserved: int) -> ReadTask:
        return ReadTask(
            task=0,
            question=request.question,
            history=tuple(turn.content for turn in request.history if turn.role == "user"),
            sources=request.sources,
            context_window=engine.context_window,
            n_reserved_tokens=n_reserved,
            n_budget_tokens=request.n_budget_tokens,
            prefill_tokens_per_s=self._pace.speed(request.model, affinity),
        )

    def _n_reserved(self, request: ReadingRequest, window: int | None) -> int:
        """Count what is not for documents: the conversation, the rules and the answer."""
        if window is None:
            return 0
        said = (*request.behavior, *(turn.content for turn in request.history), request.question)
        answer = request.sampling.max_tokens or min(ANSWER_TOKENS, window // 4)
        return sum(self._counter.count_many(said)) + RULES_TOKENS + answer


async def _aside(work: Callable[[], T], n_chars: int) -> T:
    """Do work on text: at once where it is short, else in a thread, because the event loop may not wait for it."""
    return work() if n_chars <= SHORT_CHARS else await asyncio.to_thread(work)


def _n_said(request: ReadingRequest) -> int:
    said = (*request.behavior, *(turn.content for turn in request.history), request.question)
    return sum(map(len, said))


def language_of(question: str, behavior: Iterable[str] = ()) -> Language:
    """Tell in which language to answer: the one asked for, else the question's own."""
    for text in (question, *behavior):
        if asked := language_asked_for(text):
            return asked
    return "zh" if is_chinese(question) else "en"


@asynccontextmanager
async def _closing(events: AsyncIterator[EngineEvent]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
    """Close an engine's iterator in any case; engines are async generators, though only iterators by contract."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _prompt(request: ReadingRequest, evidence: Evidence, affinity: str, *, is_quoting: bool) -> Prompt:
    language = language_of(request.question, request.behavior)
    messages: tuple[Message, ...] = ()
    if not is_quoting:
        messages = render(
            evidence, request.question, history=request.history, behavior=request.behavior, language=language
        )
    return Prompt(
        model=request.model,
        question=request.question,
        language=language,
        evidence=evidence,
        messages=messages,
        sampling=request.sampling,
        affinity=affinity,
    )


def _affinity(request: ReadingRequest) -> str:
    names = (source.file_id or hashlib.sha256((source.inline or "").encode()).hexdigest() for source in request.sources)
    return hashlib.sha256("\n".join((request.workspace, *names)).encode()).hexdigest()[:32]


def _reports(sources: tuple[Source, ...], read: Read) -> tuple[SourceReport, ...]:
    return tuple(
        SourceReport(
            document=source.document,
            file_id=source.file_id,
            filename=source.filename,
            n_tokens=read.n_tokens[i],
            n_tokens_read=read.n_tokens_read[i],
            n_pages=read.n_pages[i],
            unreadable_pages=read.unreadable_pages[i],
        )
        for i, source in enumerate(sources)
    )
