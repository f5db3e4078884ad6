"""The JSON of the OpenAI-compatible surface as types. Field order is the order on the wire (PROTOCOL.md §4, §5.1)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from longscroll.protocols.answers import WireLogprobs, WireToolCall
from longscroll.protocols.conversation import WireMessage
from longscroll.protocols.extensions import FileExtension, Options, WireAnnotation, WireReport
from longscroll.protocols.parameters import Parameters, SamplingParameters


class StreamOptions(Struct, kw_only=True):
    """``stream_options`` of a request."""

    include_usage: bool | None = None


class ChatCompletionRequest(Parameters, kw_only=True):
    """The body of POST /chat/completions."""

    model: str | None = None
    messages: list[WireMessage] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    longscroll: Options | None = None


class CompletionRequest(SamplingParameters, kw_only=True):
    """The body of POST /completions."""

    model: str | None = None
    prompt: str | list[str | int | list[int]] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None
    logprobs: int | bool | None = None
    longscroll: Options | None = None


class PromptTokensDetails(Struct, frozen=True):
    """``cached_tokens``: from the engine's prefix cache; ``read_tokens``: given to the engine."""

    cached_tokens: int
    read_tokens: int


class CompletionUsage(Struct, frozen=True):
    """The whole documents count on every call."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    estimated: bool | UnsetType = UNSET


class AnswerMessage(Struct, frozen=True):
    """The message of a whole answer."""

    role: Literal["assistant"]
    content: str
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET
    tool_calls: tuple[WireToolCall, ...] | UnsetType = UNSET


class AnswerChoice(Struct, frozen=True):
    """A choice of a whole answer."""

    message: AnswerMessage
    finish_reason: str
    index: int = 0
    logprobs: WireLogprobs | None = None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """A whole answer."""

    choices: tuple[AnswerChoice, ...]
    object: Literal["chat.completion"] = "chat.completion"
    usage: CompletionUsage
    created: int
    system_fingerprint: None = None
    model: str
    id: str
    model_served: str | UnsetType = UNSET
    longscroll: WireReport | UnsetType = UNSET


class FirstDelta(Struct, frozen=True):
    """The first piece of a streamed answer."""

    content: str
    role: Literal["assistant"] = "assistant"
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET
    tool_calls: tuple[WireToolCall, ...] | UnsetType = UNSET


class NextDelta(Struct, frozen=True):
    """A later piece of a streamed answer."""

    content: str
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET
    tool_calls: tuple[WireToolCall, ...] | UnsetType = UNSET


class FirstChoice(Struct, frozen=True):
    """The choice of the first chunk."""

    delta: FirstDelta
    index: int = 0
    logprobs: WireLogprobs | None = None
    finish_reason: str | None = None


class RunningChoice(Struct, frozen=True):
    """The choice of a running chunk."""

    delta: NextDelta
    finish_reason: str | None = None
    index: int = 0
    logprobs: WireLogprobs | None = None


class LastChoice(Struct, frozen=True):
    """The choice of the chunk that says why the answer ends."""

    finish_reason: str
    delta: NextDelta
    index: int = 0
    logprobs: None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """One event of a streamed answer."""

    choices: tuple[FirstChoice | RunningChoice | LastChoice, ...]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: CompletionUsage | None = None
    created: int
    system_fingerprint: None = None
    model: str
    id: str
    model_served: str | UnsetType = UNSET
    longscroll: WireReport | UnsetType = UNSET


class CompletionChoice(Struct, frozen=True):
    """A choice of a text completion, or the next piece of one."""

    text: str
    index: int
    finish_reason: str | None
    logprobs: None = None


class TextCompletion(Struct, frozen=True, kw_only=True):
    """A whole text completion, or one event of a streamed one."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    usage: CompletionUsage | None = None
    model_served: str | UnsetType = UNSET


class FileObject(Struct, frozen=True, kw_only=True):
    """An uploaded file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str
    status_details: str | None
    longscroll: FileExtension | UnsetType = UNSET


class FileList(Struct, frozen=True, kw_only=True):
    """One page of files."""

    object: Literal["list"] = "list"
    data: tuple[FileObject, ...]
    has_more: bool


class FileDeleted(Struct, frozen=True, kw_only=True):
    """The reply to a deletion."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class ModelObject(Struct, frozen=True, kw_only=True):
    """A model that would answer."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["longscroll"] = "longscroll"


class ModelList(Struct, frozen=True, kw_only=True):
    """The models that would answer."""

    object: Literal["list"] = "list"
    data: tuple[ModelObject, ...]


class ErrorDetails(Struct, frozen=True, kw_only=True):
    """The inner object of an error; no client sees a null code."""

    code: str
    param: str | None
    message: str
    type: str


class ErrorBody(Struct, frozen=True, kw_only=True):
    """An error; ``id`` on chat only."""

    error: ErrorDetails
    id: str | UnsetType = UNSET
    request_id: str
