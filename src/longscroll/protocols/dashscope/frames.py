"""The shapes of a generated answer: whole, and frame by frame (PROTOCOL.md §3.3, §3.4, §3.6).

Knows what a request wanted of its answer as a Shape, and nothing else of the request.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from longscroll.protocols.answers import (
    Accumulated,
    WholeAnswer,
    WireLogprobs,
    render_logprobs,
    render_tool_calls,
    substitute,
)
from longscroll.protocols.dashscope.errors import error_frame
from longscroll.protocols.dashscope.schema import (
    FrameChoice,
    FrameMessage,
    FrameText,
    FrameUsage,
    Generation,
    MessageOutput,
    PromptTokensDetails,
    TextPart,
    WholeChoice,
    WholeMessage,
    WholeText,
    WholeUsage,
)
from longscroll.protocols.encoding import encode, escape
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.extensions import render_annotations, render_report
from longscroll.protocols.heartbeats import comment
from longscroll.types import ChatEvent, Delta, Finish, Json, Progress, Usage

_HEAD = b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:"
_NUMBERS = b'"total_tokens":%d,"input_tokens":%d,"output_tokens":%d'


class Shape(Struct, frozen=True, kw_only=True):
    """How one request wants its answer."""

    model: str
    is_message: bool
    is_incremental: bool
    has_usage: bool
    n_choices: int = 1
    in_parts: bool = False  # the content of a message is a list with one text

    @property
    def has_index(self) -> bool:
        """Whether choices are numbered; one alone is not."""
        return self.n_choices > 1


class FrameRenderer:
    """Renders the frames of one stream; a plain piece of text costs a template and an escape.

    Cumulative streams repeat all of a choice so far; the text that is repeated is kept escaped, so a frame costs a
    copy. What is not text makes a frame of its own kind, and so does everything of several choices.
    """

    def __init__(self, request: Request, shape: Shape) -> None:
        self._request = request
        self._shape = shape
        self._n_frames = 0
        self._is_incremental = shape.is_incremental
        self._choices = [Accumulated() for _ in range(shape.n_choices)]  # cumulative streams: all so far
        self._escaped = b""  # the text of the only choice so far, as it stands in JSON
        self._is_plain = not shape.has_index  # until something else than text is to be repeated
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
        is_text = not (event.annotations or event.tool_calls or event.logprobs)
        if is_text and not event.text:
            return b""
        n_input, n_output = event.n_input_tokens, event.n_output_tokens
        if not self._is_incremental:
            self._choices[event.choice].add(event)
            self._is_plain = self._is_plain and is_text
        if not (is_text and self._is_plain) or self._template is None:
            output = self._output(self._shown(event), "null", event.choice)
            return self._frame(self._generation(output, FrameUsage(n_input + n_output, n_input, n_output)))
        escaped = escape(event.text)
        if not self._is_incremental:
            self._escaped = escaped = self._escaped + escaped
        self._n_frames += 1
        return self._template % (self._n_frames, escaped, n_input + n_output, n_input, n_output)

    def _shown(self, event: Delta) -> Accumulated:
        """Return what a frame shows of its choice: what is new, or all so far."""
        if not self._is_incremental:
            return self._choices[event.choice]
        new = Accumulated()
        new.add(event)
        return new

    def _make_template(self) -> bytes | None:
        """Return a plain frame with places for its number, text and counters; None where frames have no counters."""
        if not self._shape.has_usage:
            return None
        empty_frame = self._generation(self._output(Accumulated(), "null", 0), FrameUsage(0, 0, 0))
        frame = encode(empty_frame).replace(b"%", b"%%")
        field = b'"content":' if self._shape.is_message and not self._shape.in_parts else b'"text":'
        empty, place = field + b'""', field + b'"%b"'
        return _HEAD + frame.replace(empty, place).replace(_NUMBERS % (0, 0, 0), _NUMBERS) + b"\n\n"

    def _last(self, event: Finish) -> bytes:
        """Return one last frame for each choice; what is said of the whole answer stands in the last of them."""
        usage = event.usage
        frame_usage = FrameUsage(
            usage.n_input_tokens + usage.n_output_tokens,
            usage.n_input_tokens,
            usage.n_output_tokens,
            _details(usage, self._shape),
            True if usage.is_estimated else UNSET,
        )
        frames = []
        for number, reason in enumerate(event.reasons):
            finish = event if number == len(event.reasons) - 1 else None
            output = self._output(self._choices[number], reason, number)
            frames.append(self._frame(self._generation(output, frame_usage, finish=finish)))
        return b"".join(frames)

    def _frame(self, generation: Generation) -> bytes:
        self._n_frames += 1
        return (_HEAD % self._n_frames) + encode(generation) + b"\n\n"

    def _output(self, shown: Accumulated, reason: str, number: int) -> FrameText | MessageOutput:
        annotations = render_annotations(shown.annotations)
        if not self._shape.is_message:
            return FrameText(reason, shown.text, annotations)
        content, calls = _content(shown.text, self._shape), render_tool_calls(shown.tool_calls)
        message = FrameMessage(content, annotations=annotations, tool_calls=calls)
        index = number if self._shape.has_index else UNSET
        return MessageOutput((FrameChoice(message, reason, index, _logprobs(shown.logprobs)),))

    def _generation(
        self, output: FrameText | MessageOutput, usage: FrameUsage, *, finish: Finish | None = None
    ) -> Generation:
        return Generation(
            output=output,
            usage=usage if self._shape.has_usage else UNSET,
            request_id=self._request.id,
            model_served=UNSET if finish is None else substitute(finish, self._shape.model),
            longscroll=UNSET if finish is None else render_report(finish.report),
        )


def whole_reply(request: Request, shape: Shape, answer: WholeAnswer) -> Reply:
    """Return an answer that is not streamed."""
    finish, usage = answer.finish, answer.finish.usage
    whole_usage = WholeUsage(
        usage.n_input_tokens,
        usage.n_output_tokens,
        usage.n_input_tokens + usage.n_output_tokens,
        _details(usage, shape),
        True if usage.is_estimated else UNSET,
    )
    return json_reply(
        Generation(
            output=_whole_output(shape, answer),
            usage=whole_usage if shape.has_usage else UNSET,
            request_id=request.id,
            model_served=substitute(finish, shape.model),
            longscroll=render_report(finish.report),
        )
    )


def _whole_output(shape: Shape, answer: WholeAnswer) -> WholeText | MessageOutput:
    if not shape.is_message:
        only = answer.choices[0]
        return WholeText(only.text, answer.finish.reason, render_annotations(only.annotations))
    choices = []
    for number, (choice, reason) in enumerate(zip(answer.choices, answer.finish.reasons, strict=True)):
        annotations, calls = render_annotations(choice.annotations), render_tool_calls(choice.tool_calls)
        message = WholeMessage("assistant", _content(choice.text, shape), annotations, calls)
        index = number if shape.has_index else UNSET
        choices.append(WholeChoice(reason, message, index, _logprobs(choice.logprobs)))
    return MessageOutput(tuple(choices))


def _content(text: str, shape: Shape) -> str | tuple[TextPart, ...]:
    return (TextPart(text),) if shape.in_parts else text


def _logprobs(tokens: tuple[Json, ...]) -> WireLogprobs | UnsetType:
    return render_logprobs(tokens) or UNSET


def _details(usage: Usage, shape: Shape) -> PromptTokensDetails | UnsetType:
    return PromptTokensDetails(usage.n_cached_tokens, usage.n_read_tokens) if shape.is_message else UNSET
