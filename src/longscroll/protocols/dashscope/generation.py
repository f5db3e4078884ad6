"""POST …/text-generation/generation: a body to a ChatRequest, events to frames or to one body (PROTOCOL.md §3).

Knows neither documents nor engines; the words of errors are in ``errors``.
"""

from __future__ import annotations

import msgspec

from longscroll.errors import InvalidParameter, MissingInput
from longscroll.protocols.admission import Gate
from longscroll.protocols.answers import Answering, collect
from longscroll.protocols.conversation import WireMessage, to_chat_request, to_messages
from longscroll.protocols.dashscope.frames import FrameRenderer, Shape, whole_reply
from longscroll.protocols.dashscope.headers import refuse_encryption, refuse_tasks, wants_stream
from longscroll.protocols.dashscope.schema import GenerationInput, GenerationParameters, GenerationRequest
from longscroll.protocols.exchange import Answer, EventStream, Request
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import check
from longscroll.types import Message

NO_TURN = 'Either "prompt" or "messages" must exist and cannot both be none'

_MESSAGE_MODELS = ("qwen-long", "qwen-doc")
"""Beginnings of the names whose default format is ``message`` (§3.2)."""

_decoder = msgspec.json.Decoder(GenerationRequest)


class TextGeneration:
    """The handler of the native surface's generation endpoint."""

    def __init__(self, answer: Answering, gate: Gate, options: ProtocolOptions) -> None:
        self._answer = answer
        self._gate = gate
        self._reports_chatyuan = options.chatyuan_usage

    async def generate(self, request: Request) -> Answer:
        """Answer a prompt or messages, streamed if a header says so; errors are raised in the order of §9.1."""
        return await self._generate(request, is_multimodal=False)

    async def converse(self, request: Request) -> Answer:
        """Answer a multimodal conversation, of text; who asks in parts is answered in parts."""
        return await self._generate(request, is_multimodal=True)

    async def _generate(self, request: Request, *, is_multimodal: bool) -> Answer:
        refuse_tasks(request)
        refuse_encryption(request)
        model, body = await self._gate.admit(request, _decoder)
        if body.input is None:
            raise MissingInput
        parameters = body.parameters or GenerationParameters()
        check(parameters, max_output_tokens=self._gate.max_output_tokens(model))
        shape = self._shape(model, parameters, in_parts=is_multimodal and _is_in_parts(body.input))
        messages = _messages(body.input)
        is_streamed = wants_stream(request)
        asked = to_chat_request(
            request, model, messages, parameters=parameters, options=parameters.longscroll, is_streamed=is_streamed
        )
        events = self._answer(asked)
        if not is_streamed:
            return whole_reply(request, shape, await collect(events))
        renderer = FrameRenderer(request, shape)
        return EventStream(events=events, render=renderer.render, fail=renderer.fail, heartbeat=renderer.heartbeat)

    def _shape(self, model: str, parameters: GenerationParameters, *, in_parts: bool) -> Shape:
        """Return how the answer is wanted; what the text format has no place for makes it a message."""
        n_choices = parameters.n or 1
        needs_choices = in_parts or n_choices > 1 or bool(parameters.tools) or bool(parameters.logprobs)
        return Shape(
            model=model,
            is_message=needs_choices or (parameters.result_format or _default_format(model)) == "message",
            is_incremental=bool(parameters.incremental_output),
            has_usage=self._reports_chatyuan or not model.startswith("chatyuan"),
            n_choices=n_choices,
            in_parts=in_parts,
        )


def _is_in_parts(given: GenerationInput) -> bool:
    return any(isinstance(message.content, list) for message in given.messages or ())


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
