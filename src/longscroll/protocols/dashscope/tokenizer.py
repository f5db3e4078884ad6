"""POST /api/v1/tokenizer: the tokens of a text, free of charge (PROTOCOL.md §8.1).

Contents are counted and nothing of ChatML around them. Knows no engine: a model is named, and all share one vocabulary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from longscroll.errors import InvalidParameter, MissingInput, Overloaded
from longscroll.protocols.admission import Gate
from longscroll.protocols.conversation import WireMessage
from longscroll.protocols.dashscope.generation import NO_TURN
from longscroll.protocols.dashscope.headers import refuse_encryption
from longscroll.protocols.dashscope.schema import GenerationInput
from longscroll.protocols.encoding import encode
from longscroll.protocols.exchange import Reply, Request
from longscroll.tasks import to_the_end
from longscroll.tokens import TokenCounter

MAX_AT_ONCE = 2
MAX_WAITING = 32
"""Long texts; what is free of charge must not take the threads of what is not."""

_ON_LOOP_CHARS = 1_000
"""A longer text is encoded in a thread: the event loop is given a millisecond."""

_SLICE = 4096
"""Tokens that are written as JSON in one go; in between the event loop may have its turn."""


class TokenizerRequest(Struct, kw_only=True):
    """The body: a prompt, messages or a history, as for text generation."""

    model: str | None = None
    input: GenerationInput | None = None


class TokenizerOutput(Struct, frozen=True):
    """Ids and how each is shown by itself; part of a character is U+FFFD."""

    token_ids: list[int]
    tokens: list[str]


class TokenizerUsage(Struct, frozen=True):
    """How many there are."""

    input_tokens: int


class TokenizerReply(Struct, frozen=True, kw_only=True):
    """The reply."""

    output: TokenizerOutput
    usage: TokenizerUsage
    request_id: str


_decoder = msgspec.json.Decoder(TokenizerRequest)


class Tokenizer:
    """The handler."""

    def __init__(self, counter: TokenCounter, gate: Gate) -> None:
        self._counter = counter
        self._gate = gate
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._n_waiting = 0

    async def tokenize(self, request: Request) -> Reply:
        """Return the tokens of a text; neither limited nor metered.

        Raises:
            InvalidParameter, MissingInput: there is no text.
            ModelUnavailable: the vocabulary is not installed.
            Overloaded: too many long texts wait already.
        """
        refuse_encryption(request)
        _, body = await self._gate.admit(request, _decoder, task=None, is_limited=False)
        if body.input is None:
            raise MissingInput
        texts = _texts(body.input)
        if sum(map(len, texts)) <= _ON_LOOP_CHARS:
            return self._reply(texts, request.id)
        return await self._in_turn(texts, request.id)

    async def _in_turn(self, texts: Sequence[str], request_id: str) -> Reply:
        """Encode a long text in a thread, a few at a time; one that has begun is finished though its client leaves."""
        if self._n_waiting >= MAX_WAITING:
            raise Overloaded("Too many texts wait to be tokenized.")
        self._n_waiting += 1
        try:
            async with self._slots:
                return await to_the_end(asyncio.to_thread(self._reply, texts, request_id))
        finally:
            self._n_waiting -= 1

    def _reply(self, texts: Sequence[str], request_id: str) -> Reply:
        ids = [token for text in texts for token in self._counter.encode_special(text)]
        tokens = self._counter.decode_tokens(ids)
        body = b'{"output":{"token_ids":[%b],"tokens":[%b]},"usage":{"input_tokens":%d},"request_id":"%b"}'
        return Reply(body=body % (_items(ids), _items(tokens), len(ids), request_id.encode()))


def _items(values: Sequence[int] | Sequence[str]) -> bytes:
    """Return the inside of a JSON list, made a slice at a time."""
    return b",".join(encode(values[start : start + _SLICE])[1:-1] for start in range(0, len(values), _SLICE))


def _texts(given: GenerationInput) -> list[str]:
    """Return every content of a request in order; messages win over a history, a prompt comes last."""
    if given.messages is not None:
        texts = [_content(message) for message in given.messages]
    else:
        texts = [text for turn in given.history or () for text in (turn.user, turn.bot) if text]
    if given.prompt is not None:
        texts.append(given.prompt)
    if not texts:
        raise InvalidParameter(NO_TURN, param="input")
    return texts


def _content(message: WireMessage) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part.text for part in parts if part.text is not None)
