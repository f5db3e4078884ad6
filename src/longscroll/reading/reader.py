"""The one path that every answer takes: plan and evidence, prompt, engine, cited deltas.

Owns the order of these. Runs on the event loop; the CPU work is done by reader processes. Knows no wire protocol, no
file's state and no billing: what a request means was decided above, what a model is below.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Literal

from msgspec import Struct

from longscroll.engines.base import Engine, EngineEvent, EngineFinish, EngineUsage, Evidence, Prompt
from longscroll.engines.sentences import is_chinese
from longscroll.reading.cite import Citer
from longscroll.reading.messages import Read, ReadTask, Source
from longscroll.reading.pool import Readers
from longscroll.reading.prompts import Language, render
from longscroll.tokens import TokenCounter
from longscroll.types import CitationMode, Delta, Message, Progress, Sampling, SourceReport

RULES_TOKENS = 400
"""Room for the rules, the headings around documents and the roles of messages."""
ANSWER_TOKENS = 1024
"""Room for an answer whose length the request leaves open, in a window that has it."""
_ASKS_ENGLISH = re.compile(r"\b(?:answer|reply|respond|write) in english\b|用英[文语]|英[文语]回答", re.IGNORECASE)
_ASKS_CHINESE = re.compile(r"\b(?:answer|reply|respond|write) in chinese\b|用中文|中文回答|用汉语", re.IGNORECASE)


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


class ReadingFinish(Struct, frozen=True, kw_only=True):
    """The end of an answer, and how it came about."""

    reason: Literal["stop", "length"]
    evidence: Evidence
    sources: tuple[SourceReport, ...]
    abstained: bool
    engine_usage: EngineUsage | None


class Reader:
    """Answers questions; ``counter`` measures what the conversation takes of an engine's window."""

    def __init__(self, readers: Readers, counter: TokenCounter) -> None:
        self._readers = readers
        self._counter = counter

    async def answer(
        self, request: ReadingRequest, engine: Engine
    ) -> AsyncGenerator[Progress | Delta | ReadingFinish, None]:
        """Answer a question: Progress while reading, Deltas, one ReadingFinish. Closing it stops engine and reader.

        Raises:
            ConversationError: a document is gone. EngineError: the engine, or reading, failed.
            Overloaded: too many questions wait for a reader.
        """
        evidence = Evidence(plan="none", plan_reason="no documents in the conversation")
        sources: tuple[SourceReport, ...] = ()
        if request.sources:
            yield Progress(stage="reading")
            read = await self._readers.read(self._task(request, engine))
            evidence, sources = read.evidence, _reports(request.sources, read)
        prompt = _prompt(request, evidence, is_quoting=engine.context_window is None)
        citer = Citer(evidence, request.citations, reads_marks=engine.writes_marks)
        finish = EngineFinish()
        async with _closing(engine.generate(prompt)) as events:
            async for event in events:
                if isinstance(event, EngineFinish):
                    finish = event
                elif delta := citer.feed(event):
                    yield delta
        if last := citer.close():
            yield last
        yield ReadingFinish(
            reason=finish.reason,
            evidence=evidence,
            sources=sources,
            abstained=finish.abstained,
            engine_usage=finish.usage,
        )

    def _task(self, request: ReadingRequest, engine: Engine) -> ReadTask:
        return ReadTask(
            task=0,
            question=request.question,
            history=tuple(turn.content for turn in request.history if turn.role == "user"),
            sources=request.sources,
            context_window=engine.context_window,
            n_reserved_tokens=self._n_reserved(request, engine.context_window),
            n_budget_tokens=request.n_budget_tokens,
        )

    def _n_reserved(self, request: ReadingRequest, window: int | None) -> int:
        """Count what is not for documents: the conversation, the rules and the answer."""
        if window is None:
            return 0
        said = (*request.behavior, *(turn.content for turn in request.history), request.question)
        answer = request.sampling.max_tokens or min(ANSWER_TOKENS, window // 4)
        return sum(self._counter.count_many(said)) + RULES_TOKENS + answer


def language_of(question: str, behavior: Iterable[str] = ()) -> Language:
    """Tell in which language to answer: the one asked for, else the question's own."""
    for text in (question, *behavior):
        if _ASKS_ENGLISH.search(text):
            return "en"
        if _ASKS_CHINESE.search(text):
            return "zh"
    return "zh" if is_chinese(question) else "en"


@asynccontextmanager
async def _closing(events: AsyncIterator[EngineEvent]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
    """Close an engine's iterator in any case; engines are async generators, though only iterators by contract."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _prompt(request: ReadingRequest, evidence: Evidence, *, is_quoting: bool) -> Prompt:
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
        affinity=_affinity(request),
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
