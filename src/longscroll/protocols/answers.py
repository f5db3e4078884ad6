"""The stream of a chat as both surfaces take it: whole, or event by event. Knows no surface's shape.

What both surfaces write alike, calls of tools and log probabilities, is rendered here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from longscroll.types import Annotation, ChatEvent, ChatRequest, Delta, Finish, Json, ToolCallPiece

Answering = Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]]
"""What a surface asks of the chat service; work begins with the first event asked for and ends when it is closed."""


class WireFunction(Struct, frozen=True):
    """The function of a call; only the first piece of a call names it."""

    name: str | UnsetType
    arguments: str


class WireToolCall(Struct, frozen=True):
    """A call of a tool, or the next piece of one; every piece has a ``type``, which the Java SDK reads unguarded."""

    index: int
    id: str
    type: Literal["function"]
    function: WireFunction


class WireLogprobs(Struct, frozen=True):
    """The log probabilities of a choice, or of a piece of one, token by token."""

    content: tuple[Raw, ...]


class Accumulated:
    """All of one choice so far."""

    def __init__(self) -> None:
        self.annotations: tuple[Annotation, ...] = ()
        self.logprobs: tuple[Json, ...] = ()
        self._texts: list[str] = []
        self._calls: dict[int, ToolCallPiece] = {}

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self._texts)

    @property
    def tool_calls(self) -> tuple[ToolCallPiece, ...]:
        """The calls, each in one piece."""
        return tuple(self._calls.values())

    def add(self, delta: Delta) -> None:
        """Take the next delta of the choice."""
        self._texts.append(delta.text)
        self.annotations += delta.annotations
        self.logprobs += delta.logprobs
        for piece in delta.tool_calls:
            begun = self._calls.get(piece.index)
            self._calls[piece.index] = piece if begun is None else _joined(begun, piece)


class WholeAnswer(Struct, frozen=True):
    """An answer that is not streamed, by choice."""

    choices: tuple[Accumulated, ...]
    finish: Finish


async def collect(events: AsyncGenerator[ChatEvent, None]) -> WholeAnswer:
    """Take an answer to its end."""
    choices: dict[int, Accumulated] = {}
    finish: Finish | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta):
                choices.setdefault(event.choice, Accumulated()).add(event)
            elif isinstance(event, Finish):
                finish = event
    assert finish is not None
    return WholeAnswer(tuple(choices.get(n, Accumulated()) for n in range(len(finish.reasons))), finish)


def substitute(finish: Finish, model: str) -> str | UnsetType:
    """Return the model that answered where it is not the one that was asked, or UNSET, which sends nothing."""
    return UNSET if finish.model_served == model else finish.model_served


def render_tool_calls(pieces: Iterable[ToolCallPiece]) -> tuple[WireToolCall, ...] | UnsetType:
    """Return calls, or pieces of calls, as sent, or UNSET when there are none."""
    return (
        tuple(
            WireToolCall(
                piece.index,
                piece.id,
                "function",
                WireFunction(UNSET if piece.name is None else piece.name, piece.arguments),
            )
            for piece in pieces
        )
        or UNSET
    )


def render_logprobs(tokens: Sequence[Json]) -> WireLogprobs | None:
    """Return log probabilities as sent, None where there are none."""
    return WireLogprobs(tuple(Raw(token) for token in tokens)) if tokens else None


def _joined(begun: ToolCallPiece, piece: ToolCallPiece) -> ToolCallPiece:
    return ToolCallPiece(index=begun.index, id=begun.id, name=begun.name, arguments=begun.arguments + piece.arguments)
