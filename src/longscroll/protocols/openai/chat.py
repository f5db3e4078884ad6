"""POST /chat/completions: a body to a ChatRequest, events to chunks or to one body (PROTOCOL.md §4).

Knows neither documents nor engines; the words of errors are in ``errors``.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from longscroll.protocols.admission import read_body
from longscroll.protocols.answers import Answering, WholeAnswer, collect, substitute
from longscroll.protocols.conversation import to_chat_request, to_messages
from longscroll.protocols.encoding import encode, escape
from longscroll.protocols.exchange import Answer, EventStream, Reply, Request, json_reply
from longscroll.protocols.extensions import render_annotations, render_report
from longscroll.protocols.heartbeats import comment
from longscroll.protocols.openai.errors import error_frame
from longscroll.protocols.openai.schema import (
    AnswerChoice,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    CompletionUsage,
    FirstChoice,
    FirstDelta,
    LastChoice,
    NextDelta,
    PromptTokensDetails,
    RunningChoice,
)
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import check
from longscroll.services.models import ModelCatalog
from longscroll.types import ChatEvent, Delta, Finish, Progress, Usage

DONE = b"data: [DONE]\n\n"

_CONTENT = b'"content":"'

_decoder = msgspec.json.Decoder(ChatCompletionRequest)


class Chat:
    """The handler of the compat surface's chat endpoint."""

    def __init__(self, answer: Answering, catalog: ModelCatalog, options: ProtocolOptions) -> None:
        self._answer = answer
        self._catalog = catalog
        self._running_reason = "null" if options.legacy_null_string else None

    async def complete(self, request: Request) -> Answer:
        """Answer a chat, streamed if the body says so; errors are raised in the order of PROTOCOL.md §9.1."""
        model, body = await read_body(request, _decoder, self._catalog)
        check(body)
        messages = to_messages(body.messages or ())
        asked = to_chat_request(request, model, messages, parameters=body, options=body.longscroll)
        events = self._answer(asked)
        if not body.stream:
            return _whole(request, model, await collect(events))
        renderer = ChunkRenderer(
            request,
            model,
            running_reason=self._running_reason,
            with_usage=body.stream_options is not None and bool(body.stream_options.include_usage),
        )
        return EventStream(events=events, render=renderer.render, fail=renderer.fail, heartbeat=renderer.heartbeat)


class ChunkRenderer:
    """Renders the chunks of one stream; a plain piece of text costs a template and an escape."""

    def __init__(self, request: Request, model: str, *, running_reason: str | None, with_usage: bool) -> None:
        """Prepare a stream; ``running_reason`` is the ``finish_reason`` of all chunks but the last."""
        self._request = request
        self._model = model
        self._running_reason = running_reason
        self._with_usage = with_usage
        self._created = _created(request)
        self._id = f"chatcmpl-{request.id}"
        self._is_first = True
        self._progress: Progress | None = None  # the last, until the answer begins
        template = self._frame(RunningChoice(NextDelta(""), running_reason))
        before, _, self._after = template.partition(_CONTENT)
        self._before = before + _CONTENT

    def render(self, event: ChatEvent) -> bytes:
        """Return the frames of an event; progress has none, it is told in the comment that fills the next silence."""
        if isinstance(event, Delta):
            if self._is_first:
                return self._first(event)
            if event.annotations:
                delta = NextDelta(event.text, render_annotations(event.annotations))
                return self._frame(RunningChoice(delta, self._running_reason))
            return self._before + escape(event.text) + self._after if event.text else b""
        if isinstance(event, Finish):
            return self._last(event)
        self._progress = event
        return b""

    def heartbeat(self) -> bytes:
        """Return the comment frame of a silence."""
        return f": {comment(self._progress)}\n\n".encode()

    def fail(self, error: Exception) -> bytes:
        """Return the frame that ends the stream with an error."""
        return error_frame(self._request, error)

    def _first(self, event: Delta) -> bytes:
        self._is_first, self._progress = False, None
        delta = FirstDelta(event.text, annotations=render_annotations(event.annotations))
        return self._frame(FirstChoice(delta, finish_reason=self._running_reason))

    def _last(self, event: Finish) -> bytes:
        frames = [self._first(Delta(text=""))] if self._is_first else []
        frames.append(self._frame(LastChoice(event.reason, NextDelta("")), finish=event))
        if self._with_usage:
            frames.append(self._frame(None, usage=_usage(event.usage)))
        return b"".join((*frames, DONE))

    def _frame(
        self,
        choice: FirstChoice | RunningChoice | LastChoice | None,
        *,
        usage: CompletionUsage | None = None,
        finish: Finish | None = None,
    ) -> bytes:
        chunk = ChatCompletionChunk(
            choices=() if choice is None else (choice,),
            usage=usage,
            created=self._created,
            model=self._model,
            id=self._id,
            model_served=UNSET if finish is None else substitute(finish, self._model),
            longscroll=UNSET if finish is None else render_report(finish.report),
        )
        return b"data: " + encode(chunk) + b"\n\n"


def _whole(request: Request, model: str, answer: WholeAnswer) -> Reply:
    message = AnswerMessage("assistant", answer.text, render_annotations(answer.annotations))
    finish = answer.finish
    return json_reply(
        ChatCompletion(
            choices=(AnswerChoice(message, finish.reason),),
            usage=_usage(finish.usage),
            created=_created(request),
            model=model,
            id=f"chatcmpl-{request.id}",
            model_served=substitute(finish, model),
            longscroll=render_report(finish.report),
        )
    )


def _created(request: Request) -> int:
    return int(request.received_at.timestamp())


def _usage(usage: Usage) -> CompletionUsage:
    return CompletionUsage(
        usage.n_input_tokens,
        usage.n_output_tokens,
        usage.n_input_tokens + usage.n_output_tokens,
        PromptTokensDetails(usage.n_cached_tokens, usage.n_read_tokens),
        True if usage.is_estimated else UNSET,
    )
