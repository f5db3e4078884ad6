"""The messages between the service and its reader processes: one struct each, msgpack with a length in front."""

from __future__ import annotations

from msgspec import Struct

from longscroll.engines.base import Evidence, Mark, Prompt, Text


class Source(Struct, frozen=True, kw_only=True):
    """One document of a conversation: a file by its artifact's path, or inline text."""

    document: int  # position in the conversation, from 0
    workspace: str
    file_id: str | None = None
    filename: str | None = None
    artifact: str | None = None  # local path
    inline: str | None = None
    n_tokens: int | None = None  # known for files; readers fill it in for inline text


class ReadTask(Struct, frozen=True, kw_only=True, tag="read"):
    """Find the evidence for a question in the sources."""

    task: int
    question: str
    history: tuple[str, ...] = ()  # earlier user turns, oldest first: a follow-up borrows its subject from them
    sources: tuple[Source, ...]
    context_window: int | None  # None: for an engine that quotes
    n_reserved_tokens: int = 0  # history, behavior prompt, answer
    n_budget_tokens: int | None = None  # None: as the plan says
    prefill_tokens_per_s: float | None = None  # what the engine was seen to read; None: not known, or it has read these


class Read(Struct, frozen=True, kw_only=True, tag="evidence"):
    """The answer to a ReadTask; ``n_tokens`` and ``n_tokens_read`` by document."""

    task: int
    evidence: Evidence
    n_tokens: tuple[int, ...]
    n_tokens_read: tuple[int, ...]
    n_pages: tuple[int | None, ...]
    unreadable_pages: tuple[tuple[int, ...], ...]


class ComposeTask(Struct, frozen=True, kw_only=True, tag="compose"):
    """Let the extractive engine write an answer to a prompt."""

    task: int
    prompt: Prompt


class Composed(Struct, frozen=True, kw_only=True, tag="composed"):
    """The whole answer: text and marks in order."""

    task: int
    parts: tuple[Text | Mark, ...]
    abstained: bool


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The task could not be done: the class of a LongscrollError and its message."""

    task: int
    error: str
    message: str


ReaderTask = ReadTask | ComposeTask
ReaderReply = Read | Composed | Failed
