"""What an engine is: it gets a question, numbered evidence and a budget, and writes. It never sees a document.

``reading`` makes a Prompt; an engine streams Text, Mark, ToolCallPiece and EngineFinish. An engine that only writes
text (every model server) leaves its citations as ``[n]`` in the text; ``reading.cite`` turns them into Marks. One that
knows exactly what it quotes sends Marks itself. What not every engine can do it declares as abilities.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from longscroll.types import AnswerForm, FinishReason, Json, Message, Sampling, Span, ToolCallPiece


class Place(Struct, frozen=True, kw_only=True):
    """Where text from ``offset`` (in the document) on stands, up to the next place."""

    offset: int
    page: int | None = None  # physical, from 1
    page_label: str | None = None
    section: str | None = None


class Passage(Struct, frozen=True, kw_only=True):
    """A stretch of one document, as evidence: the text and where it stands."""

    number: int  # from 1, the n of ``[n]`` in the prompt
    document: int  # position among the conversation's documents, from 0
    file_id: str | None
    filename: str | None
    text: str  # exactly the document's text at ``span``
    span: Span
    pages: tuple[int, ...] | None
    page_label: str | None
    section: str | None
    places: tuple[Place, ...] = ()  # ascending; what page and section each part of the passage is on
    score: float = 0.0

    def places_in(self, span: Span) -> tuple[Place, ...]:
        """Return where a span of it stands: the place it begins at, then those that begin inside it."""
        at_start = [place for place in self.places if place.offset <= span[0]][-1:]
        return (*at_start, *(place for place in self.places if span[0] < place.offset < span[1]))

    def pages_in(self, span: Span) -> tuple[int, ...] | None:
        """Return the pages that a span of it stands on, ascending; those of the passage where no place has one."""
        return tuple(sorted({place.page for place in self.places_in(span) if place.page is not None})) or self.pages


PlanKind = Literal["none", "whole", "lookup", "digest"]


class DocumentFacts(Struct, frozen=True, kw_only=True):
    """What a document is, for the opening line of a summary."""

    document: int  # position among the conversation's documents, from 0
    filename: str | None
    title: str | None
    headings: tuple[str, ...] = ()  # the main ones, in order
    language: Literal["zh", "en"] = "en"  # the script it is written in: Chinese, or any other
    n_pages: int | None
    n_tokens: int


class Evidence(Struct, frozen=True, kw_only=True):
    """What was read for one question, in document order, and how well it covers the question."""

    plan: PlanKind
    plan_reason: str
    passages: tuple[Passage, ...] = ()
    ranking: tuple[int, ...] = ()  # numbers of the passages, best first (lookup)
    coverage: float = 0.0  # 0–1: a quarter idf share of the question found close together, the rest its best score
    is_covered: bool = True  # False: below the threshold; an honest engine abstains
    term_weights: dict[str, float] = {}  # question term → idf over the conversation's files
    n_tokens_read: int = 0
    n_tokens_total: int = 0
    documents: tuple[DocumentFacts, ...] = ()


class Prompt(Struct, frozen=True, kw_only=True):
    """One call of an engine."""

    model: str  # as the engine knows it
    question: str  # the last user turn
    language: Literal["zh", "en"]  # of the question
    evidence: Evidence
    messages: tuple[Message, ...]  # the whole rendered prompt, for engines that generate
    sampling: Sampling = Sampling()
    form: AnswerForm = AnswerForm()
    shows_marks: bool = True  # False: citations are off, and what an engine marks is not seen
    affinity: str = ""  # same value for the same documents of the same workspace: prefix caches
    cache_salt: str = ""  # same value for a workspace, unknown outside: no other shares what a model server caches


class Text(Struct, frozen=True, tag="text"):
    """The next piece of the answer, with the log probabilities of its tokens where they were asked for."""

    text: str
    logprobs: tuple[Json, ...] = ()


class Mark(Struct, frozen=True, tag="mark"):
    """A citation of what was just written: passage ``number``, and the exact span in its document when it is known."""

    number: int
    span: Span | None = None


class EngineUsage(Struct, frozen=True, kw_only=True):
    """What the engine itself counted."""

    n_input_tokens: int = 0
    n_output_tokens: int = 0
    n_cached_tokens: int = 0


class EngineFinish(Struct, frozen=True, tag="finish"):
    """The end of a generation; ``abstained`` when the engine said that the evidence has no answer."""

    reason: FinishReason = "stop"
    usage: EngineUsage | None = None
    is_usage_told: bool = False  # that usage is what the client is told, whatever was counted here
    abstained: bool = False


EngineEvent = Text | Mark | ToolCallPiece | EngineFinish


class Ability(StrEnum):
    """What a request may ask of an answer and not every engine can give."""

    CHOICES = "choices"  # another answer to the same prompt each time: ``n``
    JSON = "json"  # ``response_format`` json_object
    JSON_SCHEMA = "json_schema"
    LOGPROBS = "logprobs"
    TOOLS = "tools"
    CONTINUES = "continues"  # goes on from a partial last message and never says it again


class Engine(Protocol):
    """Who writes the answer."""

    context_window: int | None  # tokens; None: the engine quotes and has no window
    writes_marks: bool  # True: citations come as ``[n]`` in the text
    abilities: frozenset[Ability]

    def generate(self, prompt: Prompt) -> AsyncIterator[EngineEvent]:
        """Write the answer; ends with one EngineFinish. Closing the iterator stops the engine at once.

        Raises:
            EngineError: see the tree; after the first event as well as before.
        """


@runtime_checkable
class Running(Protocol):
    """An engine with a life of its own: connections, or a process. The service starts it, and stops it at its end."""

    async def start(self) -> None:
        """Make the engine ready; it may still be unavailable."""

    async def stop(self) -> None:
        """Give back everything it holds."""
