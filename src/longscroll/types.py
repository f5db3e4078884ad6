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


BATCH = "batch"
BATCH_OUTPUT = "batch_output"
"""The purposes of files whose bytes are all there is of them: what a batch is asked, and what it answered."""


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

    @property
    def is_document(self) -> bool:
        """Whether it is parsed, so that it can be asked about."""
        return self.purpose not in (BATCH, BATCH_OUTPUT)


class HeldFiles(Struct, frozen=True, kw_only=True):
    """How many files of a workspace are in one state, and what they weigh."""

    workspace: str
    status: FileStatus
    n_files: int
    n_bytes: int


Json = bytes
"""One JSON value as its sender wrote it: carried from one wire to another, never looked into."""


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation; content parts are joined before it is made."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    file_ids: tuple[str, ...] = ()  # documents attached as OpenAI content parts
    is_partial: bool = False  # assistant, last: the answer goes on from here
    tool_calls: Json | None = None  # assistant: what it called, as the client says it
    tool_call_id: str | None = None  # tool: which call this is the result of
    name: str | None = None  # tool: the function


class Sampling(Struct, frozen=True, kw_only=True):
    """How tokens are chosen; None means the engine's own default. Ranges are checked by the surfaces."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: tuple[tuple[int, ...], ...] = ()  # of the bundled vocabulary; strings before an engine sees them
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    n_choices: int = 1  # answers to the same prompt
    wants_logprobs: bool = False
    n_top_logprobs: int = 0


FormatKind = Literal["text", "json_object", "json_schema"]


class AnswerForm(Struct, frozen=True, kw_only=True):
    """What the answer may be made of: prose, JSON, calls of the client's tools, thoughts before it."""

    format: FormatKind = "text"
    response_format: Json | None = None  # the whole object, where the format is not text
    tools: Json | None = None  # a list that is not empty
    tool_choice: Json | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    enable_thinking: bool | None = None


CitationMode = Literal["marks", "annotations", "urls", "off"]
"""``urls``: annotations of the one kind that strictly typed clients know, with all that ours say beside it."""


SurfaceName = Literal["openai", "dashscope"]

Operation = Literal["chat", "completion", "embedding", "rerank"]


class ChatRequest(Struct, frozen=True, kw_only=True):
    """What a client asks, in no protocol's words."""

    workspace: str
    key_id: str = ""  # empty: asked by a command, which has no key
    request_id: str
    surface: SurfaceName = "openai"
    operation: Operation = "chat"
    is_streamed: bool = False
    is_exempt: bool = False  # from limits, as the lines of a batch are
    model: str
    messages: tuple[Message, ...]
    further: tuple[tuple[Message, ...], ...] = ()  # conversations answered after it, as more choices of one answer
    sampling: Sampling = Sampling()
    form: AnswerForm = AnswerForm()
    citations: CitationMode | None = None  # None: as the model is configured
    counts_deltas: bool = True  # each Delta says how many tokens there are so far
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
    is_url: bool = False  # to be told as a link


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


class ToolCallPiece(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next piece of a call of one of the client's tools; the first of an ``index`` has its id and name."""

    index: int = 0  # among the calls of one choice
    id: str = ""
    name: str | None = None
    arguments: str = ""  # the next piece of a JSON text


class Delta(Struct, frozen=True, kw_only=True, tag="delta"):
    """The next piece of the answer. ``n_output_tokens`` is cumulative over all choices and never falls.

    Both counts are 0 in an answer whose request does not ask for them.
    """

    text: str
    annotations: tuple[Annotation, ...] = ()
    n_input_tokens: int = 0
    n_output_tokens: int = 0
    choice: int = 0  # which of the answers asked for
    tool_calls: tuple[ToolCallPiece, ...] = ()
    logprobs: tuple[Json, ...] = ()  # one object a token, as the engine gives them


FinishReason = Literal["stop", "length", "tool_calls"]


class Finish(Struct, frozen=True, kw_only=True, tag="finish"):
    """The end of the answer; ``usage.n_output_tokens`` counts the whole text exactly."""

    reason: FinishReason
    other_reasons: tuple[FinishReason, ...] = ()  # of the second choice and those after it
    usage: Usage
    model_served: str
    report: Report | None = None

    @property
    def reasons(self) -> tuple[FinishReason, ...]:
        """Why each choice ended, in order."""
        return (self.reason, *self.other_reasons)


ChatEvent = Progress | Delta | Finish
