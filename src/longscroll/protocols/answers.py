"""The stream of a chat as both surfaces take it: whole, or event by event. Knows no surface's shape."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec import UNSET, Struct, UnsetType

from longscroll.types import Annotation, ChatEvent, ChatRequest, Delta, Finish

Answering = Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]]
"""What a surface asks of the chat service; work begins with the first event asked for and ends when it is closed."""


class WholeAnswer(Struct, frozen=True):
    """An answer that is not streamed."""

    text: str
    annotations: tuple[Annotation, ...]
    finish: Finish


async def collect(events: AsyncGenerator[ChatEvent, None]) -> WholeAnswer:
    """Take an answer to its end."""
    texts: list[str] = []
    annotations: list[Annotation] = []
    finish: Finish | None = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta):
                texts.append(event.text)
                annotations += event.annotations
            elif isinstance(event, Finish):
                finish = event
    assert finish is not None
    return WholeAnswer("".join(texts), tuple(annotations), finish)


def substitute(finish: Finish, model: str) -> str | UnsetType:
    """Return the model that answered where it is not the one that was asked, or UNSET, which sends nothing."""
    return UNSET if finish.model_served == model else finish.model_served
