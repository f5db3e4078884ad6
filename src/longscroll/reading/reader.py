"""The one path that every answer takes: plan and evidence, prompt, engine, cited deltas.

Owns the order of these. Runs on the event loop; the CPU work is done by reader processes. Knows no wire protocol, no
file's state and no billing: what a request means was decided above, what a model is below.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from msgspec import Struct, structs

from longscroll.engines.base import Engine, EngineFinish, EngineUsage, Evidence, Prompt
from longscroll.engines.instructions import language_asked_for
from longscroll.engines.sentences import is_chinese
from longscroll.reading.choices import Choice, side_by_side
from longscroll.reading.messages import Read, ReadTask, Source
from longscroll.reading.pace import Pace
from longscroll.reading.pool import Readers
from longscroll.reading.prompts import Language, Manner, render, render_turns
from longscroll.tokens import TokenCounter
from longscroll.types import (
    AnswerForm,
    CitationMode,
    Delta,
    FinishReason,
    Message,
    Progress,
    Sampling,
    SourceReport,
)

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
    following: tuple[Message, ...] = ()  # those after it: calls of tools with their results, a partial answer
    behavior: tuple[str, ...] = ()  # system text that is neither a document nor a reference
    sources: tuple[Source, ...] = ()
    sampling: Sampling = Sampling()
    form: AnswerForm = AnswerForm()
    citations: CitationMode = "annotations"  # off where the form is JSON
    n_budget_tokens: int | None = None


class EvidenceFound(Struct, frozen=True):
    """All that the answer needs of the documents is in memory; they may go."""


class ReadingFinish(Struct, frozen=True, kw_only=True):
    """The end of an answer, and how it came about; what engines counted is added up over the choices."""

    reasons: tuple[FinishReason, ...]  # by choice
    evidence: Evidence
    sources: tuple[SourceReport, ...]
    abstained: bool
    engine_usage: EngineUsage | None
    is_usage_told: bool = False  # the client is told that usage


class Reader:
    """Answers questions; ``counter`` measures what the conversation takes of an engine's window.

    ``salt`` turns a workspace into what keeps its prefixes apart in the caches of a model server.
    """

    def __init__(
        self,
        readers: Readers,
        counter: TokenCounter,
        *,
        salt: Callable[[str], str] = lambda _workspace: "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._readers = readers
        self._counter = counter
        self._salt = salt
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
        prompt = structs.replace(prompt, cache_salt=self._salt(request.workspace))
        choices = _choices(prompt, engine, request)
        began, first_s = self._clock(), None
        async with aclosing(choices[0].write() if len(choices) == 1 else side_by_side(choices)) as deltas:
            async for delta in deltas:
                if first_s is None:
                    first_s = self._clock() - began
                yield delta
        finish = choices[0].finish
        self._learn(request.model, prompt, finish, first_s or 0.0)
        yield ReadingFinish(
            reasons=tuple(choice.reason for choice in choices),
            evidence=evidence,
            sources=sources,
            abstained=finish.abstained,
            engine_usage=_sum(choice.finish.usage for choice in choices),
            is_usage_told=finish.is_usage_told,
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
        answer = request.sampling.max_tokens or min(ANSWER_TOKENS, window // 4)
        return sum(self._counter.count_many(_said(request))) + RULES_TOKENS + answer


async def _aside(work: Callable[[], T], n_chars: int) -> T:
    """Do work on text: at once where it is short, else in a thread, because the event loop may not wait for it."""
    return work() if n_chars <= SHORT_CHARS else await asyncio.to_thread(work)


def _said(request: ReadingRequest) -> list[str]:
    """Return all text of the conversation that the engine reads beside documents."""
    turns = (*request.history, *request.following)
    calls = [turn.tool_calls.decode() for turn in turns if turn.tool_calls]
    tools = [request.form.tools.decode()] if request.form.tools else []
    return [*request.behavior, *(turn.content for turn in turns), request.question, *calls, *tools]


def _n_said(request: ReadingRequest) -> int:
    return sum(map(len, _said(request)))


def language_of(question: str, behavior: Iterable[str] = ()) -> Language:
    """Tell in which language to answer: the one asked for, else the question's own."""
    for text in (question, *behavior):
        if asked := language_asked_for(text):
            return asked
    return "zh" if is_chinese(question) else "en"


def _prompt(request: ReadingRequest, evidence: Evidence, affinity: str, *, is_quoting: bool) -> Prompt:
    language = language_of(request.question, request.behavior)
    messages: tuple[Message, ...] = ()
    if not is_quoting:
        manner = Manner(language=language, cites=_cites(request), has_tools=request.form.tools is not None)
        asked = render(evidence, request.question, history=request.history, behavior=request.behavior, manner=manner)
        messages = (*asked, *render_turns(request.following))
    return Prompt(
        model=request.model,
        question=request.question,
        language=language,
        evidence=evidence,
        messages=messages,
        sampling=request.sampling,
        form=request.form,
        shows_marks=_citations(request) != "off",
        affinity=affinity,
    )


def _choices(prompt: Prompt, engine: Engine, request: ReadingRequest) -> list[Choice]:
    """Return the choices asked for, each with a seed of its own: equal ones would be equal answers."""
    last = request.following[-1] if request.following else None
    prefix = last.content if last is not None and last.is_partial else ""
    citations = _citations(request)
    return [
        Choice(number, _seeded(prompt, number), engine, citations=citations, prefix=prefix)
        for number in range(request.sampling.n_choices)
    ]


def _seeded(prompt: Prompt, number: int) -> Prompt:
    seed = prompt.sampling.seed
    if seed is None or number == 0:
        return prompt
    return structs.replace(prompt, sampling=structs.replace(prompt.sampling, seed=seed + number))


def _cites(request: ReadingRequest) -> bool:
    return request.form.format == "text"


def _citations(request: ReadingRequest) -> CitationMode:
    return request.citations if _cites(request) else "off"


def _sum(usages: Iterable[EngineUsage | None]) -> EngineUsage | None:
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    return EngineUsage(
        n_input_tokens=sum(usage.n_input_tokens for usage in known),
        n_output_tokens=sum(usage.n_output_tokens for usage in known),
        n_cached_tokens=sum(usage.n_cached_tokens for usage in known),
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
