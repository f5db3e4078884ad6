"""The JSON of the native surface as types. Field order is the order on the wire (PROTOCOL.md §3, §5.2, §8.2)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from longscroll.protocols.answers import WireLogprobs, WireToolCall
from longscroll.protocols.conversation import WireMessage
from longscroll.protocols.extensions import FileExtension, Options, WireAnnotation, WireReport
from longscroll.protocols.parameters import Parameters


class Turn(Struct, kw_only=True):
    """One exchange of the deprecated ``history``."""

    user: str | None = None
    bot: str | None = None


class GenerationInput(Struct, kw_only=True):
    """``input`` of a request: messages, or a prompt, or a history with a prompt."""

    prompt: str | None = None
    messages: list[WireMessage] | None = None
    history: list[Turn] | None = None


class GenerationParameters(Parameters, kw_only=True):
    """``parameters`` of a request."""

    result_format: Literal["text", "message"] | None = None
    incremental_output: bool | None = None
    longscroll: Options | None = None


class GenerationRequest(Struct, kw_only=True):
    """The body of POST …/text-generation/generation."""

    model: str | None = None
    input: GenerationInput | None = None
    parameters: GenerationParameters | None = None


class PromptTokensDetails(Struct, frozen=True):
    """``cached_tokens``: from the engine's prefix cache; ``read_tokens``: given to the engine."""

    cached_tokens: int
    read_tokens: int


class WholeUsage(Struct, frozen=True):
    """The counters of a whole answer; the details in message format only."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class FrameUsage(Struct, frozen=True):
    """The counters of a frame; ``output_tokens`` grows from frame to frame."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    prompt_tokens_details: PromptTokensDetails | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class TextPart(Struct, frozen=True):
    """A part of a content that is a list, as multimodal conversations have it."""

    text: str


class WholeMessage(Struct, frozen=True):
    """The message of a whole answer."""

    role: Literal["assistant"]
    content: str | tuple[TextPart, ...]
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET
    tool_calls: tuple[WireToolCall, ...] | UnsetType = UNSET


class WholeChoice(Struct, frozen=True):
    """A choice of a whole answer; one alone has no index."""

    finish_reason: str
    message: WholeMessage
    index: int | UnsetType = UNSET
    logprobs: WireLogprobs | UnsetType = UNSET


class WholeText(Struct, frozen=True):
    """``output`` of a whole answer in text format."""

    text: str
    finish_reason: str
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET


class FrameMessage(Struct, frozen=True):
    """The message of a frame."""

    content: str | tuple[TextPart, ...]
    role: Literal["assistant"] = "assistant"
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET
    tool_calls: tuple[WireToolCall, ...] | UnsetType = UNSET


class FrameChoice(Struct, frozen=True):
    """The choice of a frame; the only one of an answer has no index."""

    message: FrameMessage
    finish_reason: str
    index: int | UnsetType = UNSET
    logprobs: WireLogprobs | UnsetType = UNSET


class FrameText(Struct, frozen=True):
    """``output`` of a frame in text format."""

    finish_reason: str
    text: str
    annotations: tuple[WireAnnotation, ...] | UnsetType = UNSET


class MessageOutput(Struct, frozen=True):
    """``output`` in message format."""

    choices: tuple[WholeChoice | FrameChoice, ...]


class Generation(Struct, frozen=True, kw_only=True):
    """A whole answer or one frame; never with ``code``, which newer clients take for a failure."""

    output: WholeText | FrameText | MessageOutput
    usage: WholeUsage | FrameUsage | UnsetType = UNSET
    request_id: str
    model_served: str | UnsetType = UNSET
    longscroll: WireReport | UnsetType = UNSET


class NativeFile(Struct, frozen=True, kw_only=True):
    """An uploaded file as the native surface shows it."""

    id: int
    name: str
    description: str
    purpose: str
    size: int
    md5: str
    region: Literal["local"] = "local"
    file_id: str
    url: str = ""
    user_id: str
    api_key_id: str
    gmt_create: str
    status: str
    status_details: str | None
    longscroll: FileExtension | UnsetType = UNSET


class UploadedFile(Struct, frozen=True, kw_only=True):
    """One stored file of an upload."""

    name: str
    file_id: str


class FailedUpload(Struct, frozen=True, kw_only=True):
    """One refused file of an upload."""

    name: str
    code: str
    message: str


class UploadData(Struct, frozen=True, kw_only=True):
    """What became of the files of a form."""

    uploaded_files: tuple[UploadedFile, ...]
    failed_uploads: tuple[FailedUpload, ...]


class UploadReply(Struct, frozen=True, kw_only=True):
    """The reply to an upload."""

    data: UploadData
    request_id: str


class FilePage(Struct, frozen=True, kw_only=True):
    """One numbered page of files."""

    total: int
    files: tuple[NativeFile, ...]
    page_size: int
    page_no: int


class FileListReply(Struct, frozen=True, kw_only=True):
    """The reply to a listing."""

    data: FilePage
    request_id: str


class FileReply(Struct, frozen=True, kw_only=True):
    """The reply that holds one file."""

    data: NativeFile
    request_id: str


class EmptyReply(Struct, frozen=True, kw_only=True):
    """The reply to a deletion."""

    request_id: str


class NativeModel(Struct, frozen=True, kw_only=True):
    """A model that would answer."""

    model: str
    name: str
    provider: Literal["longscroll"] = "longscroll"
    opensource: bool = False


class ModelPage(Struct, frozen=True, kw_only=True):
    """One numbered page of models."""

    total: int
    page_no: int
    page_size: int
    models: tuple[NativeModel, ...]


class ModelListReply(Struct, frozen=True, kw_only=True):
    """The reply to a listing of models."""

    output: ModelPage
    request_id: str


class ModelReply(Struct, frozen=True, kw_only=True):
    """The reply that holds one model."""

    output: NativeModel
    request_id: str


class ErrorBody(Struct, frozen=True):
    """An error; three strings, none of them null."""

    code: str
    message: str
    request_id: str
