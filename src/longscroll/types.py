"""The words every room shares: files, messages, what a chat asks and what comes back.

Knows no wire protocol, no storage and no engine. Times are aware UTC datetimes; a span is a half-open pair
``(start, stop)`` of Unicode code points in the text of one document; counts are ``n_…``.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from longscroll.errors import DocumentErrorKind

Span = tuple[int, int]


class FileStatus(StrEnum):
    """A file's life: ``uploaded`` → ``processed`` | ``error``; ``deleting`` is invisible to every client."""

    UPLOADED = "uploaded"
    PROCESSED = "processed"
    ERROR = "error"
    DELETING = "deleting"


class Readable(Struct, frozen=True, kw_only=True):
    """The beginning of a document that can be read before the rest is parsed."""

    n_done: int  # pages, or bytes, that it covers
    n_tokens: int


class Progress(Struct, frozen=True, kw_only=True, tag="progress"):
    """Something is under way: a parse, which a chat may wait for, or reading."""

    stage: Literal["queued", "parsing", "reading"]
    file_id: str | None = None
    n_done: int = 0
    n_total: int | None = None
    unit: Literal["pages", "bytes"] = "pages"
    per_s: float | None = None  # units a second, of late; None until it is known
    left_s: float | None = None  # what the rest will take at that rate
    readable: Readable | None = None


class File(Struct, frozen=True, kw_only=True):
    """One uploaded file, as its row says it."""

    workspace: str
    id: str
    filename: str
    purpose: str
    size_bytes: int
    sha256: str
    md5: str = ""  # base64; known for files that came over the native surface
    description: str = ""
    created_at: datetime
    status: FileStatus = FileStatus.UPLOADED
    status_details: str | None = None  # one sentence for people
    error_kind: DocumentErrorKind | None = None
    n_pages: int | None = None  # None: the format has no pages, or it is not parsed yet
    n_chars: int | None = None
    n_tokens: int | None = None
    sequence: int = 0  # given by the store, ascending in upload order over all workspaces
    attempt: int = 0
    progress: Progress | None = None  # of the parse under way, as its holder last said


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation; content parts are joined before it is made."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    file_ids: tuple[str, ...] = ()  # documents attached as OpenAI content parts


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen; None means the engine's own default. Ranges are checked by the surfaces."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None


CitationMode = Literal["marks", "annotations", "off"]


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What a client asks, in no protocol's words."""

    workspace: str
    request_id: str
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    citations: CitationMode | None = None  # None: as the model is configured
    wants_report: bool = False
    wants_partial: bool = False  # answer from the first pages of a file that is still being parsed


class Citation(Struct, frozen=True, kw_only=True):
    """Where in which document a statement stands; ``quote`` equals the document's text at ``span``."""

    number: int  # as in the visible mark ``[n]``, from 1
    file_id: str | None  # None: an inline document
    document: int  # position among the conversation's documents, from 0
    filename: str | None
    pages: tuple[int, ...] | None  # physical, from 1; None: the format has none
    page_label: str | None
    section: str | None
    span: Span
    quote: str


class Annotation(Struct, frozen=True, kw_only=True):
    """One visible mark of an answer: its place in the answer (code points, half-open) and its citation."""

    start_index: int
    end_index: int
    citation: Citation


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens billed (the whole documents, on every call) and tokens the engine really read."""

    n_input_tokens: int
    n_output_tokens: int
    n_read_tokens: int = 0
    n_cached_tokens: int = 0
    is_estimated: bool = False


class SourceReport(Struct, frozen=True, kw_only=True):
    """One document of an answer: who it is, how long, how much of it was read."""

    document: int
    file_id: str | None
    filename: str | None
    n_tokens: int
    n_tokens_read: int
    n_pages: int | None = None
    unreadable_pages: tuple[int, ...] = ()
    parsed: Progress | None = None  # where the file was still being parsed and only its beginning could be read


class Report(Struct, frozen=True, kw_only=True):
    """How an answer came about; sent when the request asks for it."""

    plan: str
    plan_reason: str
    abstained: bool
    coverage: float  # 0–1, how much of the question the evidence covers
    n_tokens_read: int
    n_tokens_not_read: int
    sources: tuple[SourceReport, ...]
    model_served: str
    engine_usage: dict[str, int] | None = None


class Delta(Struct, frozen=True, kw_only=True, tag="delta"):
    """The next piece of the answer. ``n_output_tokens`` is cumulative and never falls."""

    text: str
    annotations: tuple[Annotation, ...] = ()
    n_input_tokens: int = 0
    n_output_tokens: int = 0


class Finish(Struct, frozen=True, kw_only=True, tag="finish"):
    """The end of the answer; ``usage.n_output_tokens`` counts the whole text exactly."""

    reason: Literal["stop", "length"]
    usage: Usage
    model_served: str
    report: Report | None = None


ChatEvent = Progress | Delta | Finish
