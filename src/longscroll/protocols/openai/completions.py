"""POST /completions: the OpenAI protocol from before chats; each prompt is the only turn of a conversation.

Owns what is left of that protocol: text as choices, several prompts as one request, ``echo``. What would change the
answer and cannot be done is refused by name. Knows neither documents nor engines.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from msgspec import structs

from longscroll.errors import InvalidParameter
from longscroll.protocols.admission import Gate
from longscroll.protocols.answers import Answering, WholeAnswer, collect, substitute
from longscroll.protocols.conversation import to_chat_request
from longscroll.protocols.encoding import encode
from longscroll.protocols.exchange import Answer, EventStream, Reply, Request, json_reply
from longscroll.protocols.heartbeats import comment
from longscroll.protocols.openai.chat import DONE, created_at, render_usage
from longscroll.protocols.openai.errors import error_frame
from longscroll.protocols.openai.schema import CompletionChoice, CompletionRequest, CompletionUsage, TextCompletion
from longscroll.protocols.parameters import check
from longscroll.types import ChatEvent, ChatRequest, Delta, Finish, Message, Progress

MAX_PROMPTS = 16
"""Prompts of one request."""

NO_PROMPT = "The prompt field is a required field."
ONLY_TEXT = "Token ids in prompt are not supported; give text."
TOO_MANY_PROMPTS = f"Range of the number of prompts should be [1, {MAX_PROMPTS}]"
NO_SUFFIX = "suffix is not supported by this model."
NO_BEST_OF = "best_of other than n is not supported by this model."
NO_LOGPROBS = "logprobs is not supported here; ask for it at /chat/completions."

_decoder = msgspec.json.Decoder(CompletionRequest)


class Completions:
    """The handler of the endpoint."""

    def __init__(self, answer: Answering, gate: Gate) -> None:
        self._answer = answer
        self._gate = gate

    async def complete(self, request: Request) -> Answer:
        """Answer the prompts, streamed if the body says so; errors are raised in the order of PROTOCOL.md §9.1."""
        model, body = await self._gate.admit(request, _decoder)
        check(body, max_output_tokens=self._gate.max_output_tokens(model))
        prompts = _prompts(body)
        _refuse_what_changes_answers(body)
        events = self._answer(_chat_request(request, model, body, prompts))
        if body.echo:
            events = _echoed(events, [prompt for prompt in prompts for _ in range(body.n or 1)])
        if not body.stream:
            return _whole(request, model, await collect(events))
        with_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        renderer = CompletionRenderer(request, model, with_usage=with_usage)
        return EventStream(events=events, render=renderer.render, fail=renderer.fail, heartbeat=renderer.heartbeat)


class CompletionRenderer:
    """Renders the chunks of one stream."""

    def __init__(self, request: Request, model: str, *, with_usage: bool) -> None:
        self._request = request
        self._model = model
        self._with_usage = with_usage
        self._progress: Progress | None = None  # the last, until the answer begins

    def render(self, event: ChatEvent) -> bytes:
        """Return the frames of an event; progress has none, it is told in the comment that fills the next silence."""
        if isinstance(event, Delta):
            self._progress = None
            return self._frame(CompletionChoice(event.text, event.choice, None)) if event.text else b""
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

    def _last(self, event: Finish) -> bytes:
        frames = [self._frame(CompletionChoice("", n, reason)) for n, reason in enumerate(event.reasons)]
        if self._with_usage:
            frames.append(self._frame(None, usage=render_usage(event.usage)))
        return b"".join((*frames, DONE))

    def _frame(self, choice: CompletionChoice | None, *, usage: CompletionUsage | None = None) -> bytes:
        chunk = TextCompletion(
            id=_id(self._request),
            created=created_at(self._request),
            model=self._model,
            choices=() if choice is None else (choice,),
            usage=usage,
        )
        return b"data: " + encode(chunk) + b"\n\n"


def _prompts(body: CompletionRequest) -> list[str]:
    given = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if not given:
        raise InvalidParameter(NO_PROMPT, param="prompt")
    prompts = [prompt for prompt in given if isinstance(prompt, str)]
    if len(prompts) < len(given):
        raise InvalidParameter(ONLY_TEXT, param="prompt")
    if len(prompts) > MAX_PROMPTS:
        raise InvalidParameter(TOO_MANY_PROMPTS, param="prompt")
    if not all(prompts):
        raise InvalidParameter(NO_PROMPT, param="prompt")
    return prompts


def _refuse_what_changes_answers(body: CompletionRequest) -> None:
    if body.suffix:
        raise InvalidParameter(NO_SUFFIX, param="suffix")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise InvalidParameter(NO_BEST_OF, param="best_of")
    if body.logprobs is not None and body.logprobs is not False:
        raise InvalidParameter(NO_LOGPROBS, param="logprobs")


def _chat_request(request: Request, model: str, body: CompletionRequest, prompts: Sequence[str]) -> ChatRequest:
    """Return all prompts as one request, because it is admitted and metered as one."""
    messages, *further = ((Message(role="user", content=prompt),) for prompt in prompts)
    asked = to_chat_request(
        request, model, messages, parameters=body, options=body.longscroll, is_streamed=bool(body.stream)
    )
    return structs.replace(asked, operation="completion", further=tuple(further))


async def _echoed(events: AsyncGenerator[ChatEvent, None], echoes: Sequence[str]) -> AsyncGenerator[ChatEvent, None]:
    """Put before each choice what it echoes, and in the place of one that says nothing."""
    silent = dict(enumerate(echoes))
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta) and event.choice in silent:
                yield structs.replace(event, text=silent.pop(event.choice) + event.text)
                continue
            if isinstance(event, Finish):
                for choice, echo in silent.items():
                    yield Delta(text=echo, choice=choice)
            yield event


def _whole(request: Request, model: str, answer: WholeAnswer) -> Reply:
    finish = answer.finish
    pairs = zip(answer.choices, finish.reasons, strict=True)
    return json_reply(
        TextCompletion(
            id=_id(request),
            created=created_at(request),
            model=model,
            choices=tuple(CompletionChoice(choice.text, n, reason) for n, (choice, reason) in enumerate(pairs)),
            usage=render_usage(finish.usage),
            model_served=substitute(finish, model),
        )
    )


def _id(request: Request) -> str:
    return f"cmpl-{request.id}"
