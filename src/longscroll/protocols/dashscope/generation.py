"""POST …/text-generation/generation: a body to a ChatRequest, events to frames or to one body (PROTOCOL.md §3).

Knows neither documents nor engines; the words of errors are in ``errors``.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from longscroll.errors import AsyncNotSupported, InvalidParameter, MissingInput
from longscroll.protocols.admission import read_body
from longscroll.protocols.answers import Answering, WholeAnswer, collect, substitute
from longscroll.protocols.conversation import WireMessage, to_chat_request, to_messages
from longscroll.protocols.dashscope.errors import error_frame
from longscroll.protocols.dashscope.schema import (
    FrameChoice,
    FrameMessage,
    FrameText,
    FrameUsage,
    Generation,
    GenerationInput,
    GenerationParameters,
    GenerationRequest,
    MessageOutput,
    PromptTokensDetails,
    WholeChoice,
    WholeMessage,
    WholeText,
    WholeUsage,
)
from longscroll.protocols.encoding import encode, escape
from longscroll.protocols.exchange import Answer, EventStream, Reply, Request, json_reply
from longscroll.protocols.extensions import render_annotations, render_report
from longscroll.protocols.heartbeats import comment
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import check
from longscroll.services.models import ModelCatalog
from longscroll.types import Annotation, ChatEvent, Delta, Finish, Message, Progress, Usage

NO_TURN = 'Either "prompt" or "messages" must exist and cannot both be none'
ENCRYPTED = "Encrypted input is not supported."

_MESSAGE_MODELS = ("qwen-long", "qwen-doc")
"""Beginnings of the names whose default format is ``message`` (§3.2)."""

_HEAD = b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:"
_NUMBERS = b'"total_tokens":%d,"input_tokens":%d,"output_tokens":%d'

_decoder = msgspec.json.Decoder(GenerationRequest)


class Shape(Struct, frozen=True, kw_only=True):
    """How one request wants its answer."""

    model: str
    is_message: bool
    is_incremental: bool
    has_usage: bool


class TextGeneration:
    """The handler of the native surface's generation endpoint."""

    def __init__(self, answer: Answering, catalog: ModelCatalog, options: ProtocolOptions) -> None:
        self._answer = answer
        self._catalog = catalog
        self._reports_chatyuan = options.chatyuan_usage

    async def generate(self, request: Request) -> Answer:
        """Answer a prompt or messages, streamed if a header says so; errors are raised in the order of §9.1."""
        if _is_enabled(request, b"x-dashscope-async"):
            raise AsyncNotSupported("Current user api does not support asynchronous calls.")
        model, body = await read_body(request, _decoder, self._catalog)
        if request.header(b"x-dashscope-encryptionkey"):
            raise InvalidParameter(ENCRYPTED, param="input")
        if body.input is None:
            raise MissingInput
        parameters = body.parameters or GenerationParameters()
        shape = Shape(
            model=model,
            is_message=(parameters.result_format or _default_format(model)) == "message",
            is_incremental=bool(parameters.incremental_output),
            has_usage=self._reports_chatyuan or not model.startswith("chatyuan"),
        )
        check(parameters)
        messages = _messages(body.input)
        asked = to_chat_request(request, model, messages, parameters=parameters, options=parameters.longscroll)
        events = self._answer(asked)
        if not wants_stream(request):
            return _whole(request, shape, await collect(events))
        renderer = FrameRenderer(request, shape)
        return EventStream(events=events, render=renderer.render, fail=renderer.fail, heartbeat=renderer.heartbeat)


class FrameRenderer:
    """Renders the frames of one stream; a plain piece of text costs a template and an escape.

    Cumulative streams repeat all text so far; what is repeated is kept escaped, so a frame costs a copy.
    """

    def __init__(self, request: Request, shape: Shape) -> None:
        self._request = request
        self._shape = shape
        self._n_frames = 0
        self._is_incremental = shape.is_incremental
        self._text = ""  # all text so far, cumulative streams only
        self._escaped = b""  # the same, as it stands in JSON
        self._annotations: tuple[Annotation, ...] = ()
        self._progress: Progress | None = None  # the last
        self._template = self._make_template()

    def render(self, event: ChatEvent) -> bytes:
        """Return the frame of an event; progress has none, it is told in the comment that fills the next silence."""
        if isinstance(event, Delta):
            return self._delta(event)
        if isinstance(event, Finish):
            return self._last(event)
        self._progress = event
        return b""

    def heartbeat(self) -> bytes:
        """Return the comment frame of a silence; once the answer has begun there is no progress to tell."""
        return f":{comment(None if self._n_frames else self._progress)}\n\n".encode()

    def fail(self, error: Exception) -> bytes:
        """Return the frame that ends the stream with an error."""
        return error_frame(self._request, error, number=self._n_frames + 1)

    def _delta(self, event: Delta) -> bytes:
        if not event.text and not event.annotations:
            return b""
        escaped = escape(event.text)
        if self._is_incremental:
            self._annotations = event.annotations
        else:
            self._annotations += event.annotations
            self._text += event.text
            self._escaped = escaped = self._escaped + escaped
        n_input, n_output = event.n_input_tokens, event.n_output_tokens
        if self._annotations or self._template is None:
            text = event.text if self._is_incremental else self._text
            return self._frame(self._generation(text, "null", FrameUsage(n_input + n_output, n_input, n_output)))
        self._n_frames += 1
        return self._template % (self._n_frames, escaped, n_input + n_output, n_input, n_output)

    def _make_template(self) -> bytes | None:
        """Return a plain frame with places for its number, text and counters; None where frames have no counters."""
        if not self._shape.has_usage:
            return None
        frame = encode(self._generation("", "null", FrameUsage(0, 0, 0))).replace(b"%", b"%%")
        empty, place = (
            (b'"content":""', b'"content":"%b"') if self._shape.is_message else (b'"text":""', b'"text":"%b"')
        )
        return _HEAD + frame.replace(empty, place).replace(_NUMBERS % (0, 0, 0), _NUMBERS) + b"\n\n"

    def _last(self, event: Finish) -> bytes:
        if self._is_incremental:
            self._annotations = ()
        usage = event.usage
        frame_usage = FrameUsage(
            usage.n_input_tokens + usage.n_output_tokens,
            usage.n_input_tokens,
            usage.n_output_tokens,
            _details(usage, self._shape),
            True if usage.is_estimated else UNSET,
        )
        return self._frame(self._generation(self._text, event.reason, frame_usage, finish=event))

    def _frame(self, generation: Generation) -> bytes:
        self._n_frames += 1
        return (_HEAD % self._n_frames) + encode(generation) + b"\n\n"

    def _generation(self, text: str, reason: str, usage: FrameUsage, *, finish: Finish | None = None) -> Generation:
        annotations = render_annotations(self._annotations)
        output: FrameText | MessageOutput = FrameText(reason, text, annotations)
        if self._shape.is_message:
            output = MessageOutput((FrameChoice(FrameMessage(text, annotations=annotations), reason),))
        return Generation(
            output=output,
            usage=usage if self._shape.has_usage else UNSET,
            request_id=self._request.id,
            model_served=UNSET if finish is None else substitute(finish, self._shape.model),
            longscroll=UNSET if finish is None else render_report(finish.report),
        )


def wants_stream(request: Request) -> bool:
    """Whether a header asks for events; each of the two does it alone (§2.1)."""
    return _is_enabled(request, b"x-dashscope-sse") or "text/event-stream" in (request.header(b"accept") or "").lower()


def _is_enabled(request: Request, header: bytes) -> bool:
    return (request.header(header) or "").strip().lower() == "enable"


def _default_format(model: str) -> str:
    return "message" if model.startswith(_MESSAGE_MODELS) else "text"


def _messages(given: GenerationInput) -> tuple[Message, ...]:
    """Return the turns of a request: ``messages`` win over ``history``, a prompt is the last user turn of either."""
    turns = given.messages
    if turns is None:
        turns = []
        for turn in given.history or ():
            turns += [WireMessage(role="user", content=turn.user)] if turn.user else []
            turns += [WireMessage(role="assistant", content=turn.bot)] if turn.bot else []
        if not turns and not given.prompt:
            raise InvalidParameter(NO_TURN, param="input")
    elif not turns:
        return to_messages(turns)
    if given.prompt:
        turns = [*turns, WireMessage(role="user", content=given.prompt)]
    return to_messages(turns)


def _whole(request: Request, shape: Shape, answer: WholeAnswer) -> Reply:
    finish, usage = answer.finish, answer.finish.usage
    annotations = render_annotations(answer.annotations)
    output: WholeText | MessageOutput = WholeText(answer.text, finish.reason, annotations)
    if shape.is_message:
        output = MessageOutput((WholeChoice(finish.reason, WholeMessage("assistant", answer.text, annotations)),))
    whole_usage = WholeUsage(
        usage.n_input_tokens,
        usage.n_output_tokens,
        usage.n_input_tokens + usage.n_output_tokens,
        _details(usage, shape),
        True if usage.is_estimated else UNSET,
    )
    return json_reply(
        Generation(
            output=output,
            usage=whole_usage if shape.has_usage else UNSET,
            request_id=request.id,
            model_served=substitute(finish, shape.model),
            longscroll=render_report(finish.report),
        )
    )


def _details(usage: Usage, shape: Shape) -> PromptTokensDetails | UnsetType:
    return PromptTokensDetails(usage.n_cached_tokens, usage.n_read_tokens) if shape.is_message else UNSET
