"""POST /chat/completions: a body to a ChatRequest, events to chunks or to one body (PROTOCOL.md §4).

Knows neither documents nor engines; the words of errors are in ``errors``.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from longscroll.protocols.admission import Gate
from longscroll.protocols.answers import (
    Accumulated,
    Answering,
    WholeAnswer,
    collect,
    render_logprobs,
    render_tool_calls,
    substitute,
)
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
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Progress, Usage

DONE = b"data: [DONE]\n\n"

_CONTENT = b'"content":"'

_decoder = msgspec.json.Decoder(ChatCompletionRequest)


class Chat:
    """The handler of the compat surface's chat endpoint."""

    def __init__(self, answer: Answering, gate: Gate, options: ProtocolOptions) -> None:
        self._answer = answer
        self._gate = gate
        self._running_reason = "null" if options.legacy_null_string else None

    async def complete(self, request: Request) -> Answer:
        """Answer a chat, streamed if the body says so; errors are raised in the order of PROTOCOL.md §9.1."""
        model, body = await self._gate.admit(request, _decoder)
        check(body, max_output_tokens=self._gate.max_output_tokens(model))
        messages = to_messages(body.messages or ())
        asked = to_chat_request(
            request, model, messages, parameters=body, options=body.longscroll, is_streamed=bool(body.stream)
        )
        events = self._answer(asked)
        if not body.stream:
            return _whole(request, model, await collect(events))
        renderer = ChunkRenderer(
            request,
            model,
            running_reason=self._running_reason,
            with_usage=body.stream_options is not None and bool(body.stream_options.include_usage),
            is_plain=is_plain(asked),
        )
        return EventStream(events=events, render=renderer.render, fail=renderer.fail, heartbeat=renderer.heartbeat)


class ChunkRenderer:
    """Renders the chunks of one stream; a plain piece of text costs a template and an escape."""

    def __init__(
        self, request: Request, model: str, *, running_reason: str | None, with_usage: bool, is_plain: bool = True
    ) -> None:
        """Prepare a stream; ``running_reason`` is the ``finish_reason`` of all chunks but the last of a choice.

        A plain stream has one choice of text and annotations.
        """
        self._request = request
        self._model = model
        self._running_reason = running_reason
        self._with_usage = with_usage
        self._is_plain = is_plain
        self._created = created_at(request)
        self._id = f"chatcmpl-{request.id}"
        self._begun: set[int] = set()  # choices
        self._progress: Progress | None = None  # the last, until the answer begins
        template = self._frame(RunningChoice(NextDelta(""), running_reason))
        before, _, self._after = template.partition(_CONTENT)
        self._before = before + _CONTENT

    def render(self, event: ChatEvent) -> bytes:
        """Return the frames of an event; progress has none, it is told in the comment that fills the next silence."""
        if isinstance(event, Delta):
            if event.annotations or not self._is_plain or not self._begun:
                return self._piece(event)
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

    def _piece(self, event: Delta) -> bytes:
        """Return the chunk of any delta; the first of a choice says whose turn it is."""
        content, annotations = event.text, render_annotations(event.annotations)
        calls, logprobs = render_tool_calls(event.tool_calls), render_logprobs(event.logprobs)
        reason, number = self._running_reason, event.choice
        if number in self._begun:
            delta = NextDelta(content, annotations, calls)
            return self._frame(RunningChoice(delta, reason, number, logprobs))
        self._begun.add(number)
        self._progress = None
        first = FirstDelta(content, annotations=annotations, tool_calls=calls)
        return self._frame(FirstChoice(first, number, logprobs, reason))

    def _last(self, event: Finish) -> bytes:
        frames = []
        for number, reason in enumerate(event.reasons):
            if number not in self._begun:
                frames.append(self._piece(Delta(text="", choice=number)))
            finish = event if number == len(event.reasons) - 1 else None
            frames.append(self._frame(LastChoice(reason, NextDelta(""), number), finish=finish))
        if self._with_usage:
            frames.append(self._frame(None, usage=render_usage(event.usage)))
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


def is_plain(asked: ChatRequest) -> bool:
    """Whether the answer will be one choice of text and annotations."""
    sampling = asked.sampling
    return sampling.n_choices == 1 and not sampling.wants_logprobs and asked.form.tools is None


def created_at(request: Request) -> int:
    """Return the ``created`` of every object of a reply."""
    return int(request.received_at.timestamp())


def render_usage(usage: Usage) -> CompletionUsage:
    """Return the counters as sent."""
    return CompletionUsage(
        usage.n_input_tokens,
        usage.n_output_tokens,
        usage.n_input_tokens + usage.n_output_tokens,
        PromptTokensDetails(usage.n_cached_tokens, usage.n_read_tokens),
        True if usage.is_estimated else UNSET,
    )


def _whole(request: Request, model: str, answer: WholeAnswer) -> Reply:
    finish = answer.finish
    choices = zip(answer.choices, finish.reasons, strict=True)
    return json_reply(
        ChatCompletion(
            choices=tuple(_choice(choice, reason, number) for number, (choice, reason) in enumerate(choices)),
            usage=render_usage(finish.usage),
            created=created_at(request),
            model=model,
            id=f"chatcmpl-{request.id}",
            model_served=substitute(finish, model),
            longscroll=render_report(finish.report),
        )
    )


def _choice(choice: Accumulated, reason: str, number: int) -> AnswerChoice:
    annotations, calls = render_annotations(choice.annotations), render_tool_calls(choice.tool_calls)
    message = AnswerMessage("assistant", choice.text, annotations, calls)
    return AnswerChoice(message, reason, number, render_logprobs(choice.logprobs))
