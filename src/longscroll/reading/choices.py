"""The choices of an answer: each one an engine's events turned into deltas, several of them written side by side.

Owns what becomes of one engine's output on its way out: citations first, then what the client is to see of it. Knows no
documents but the evidence, no billing and no surface.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from msgspec import structs

from longscroll.engines.base import Ability, Engine, EngineEvent, EngineFinish, Mark, Prompt, Text
from longscroll.reading.cite import Citer
from longscroll.reading.trim import Trimmer
from longscroll.types import CitationMode, Delta, FinishReason, ToolCallPiece


class Choice:
    """One choice being written; ``finish`` is the engine's own once it has ended."""

    def __init__(self, number: int, prompt: Prompt, engine: Engine, *, citations: CitationMode, prefix: str) -> None:
        """Prepare choice ``number``, from 0; nothing is asked of the engine before ``write``.

        ``prefix`` is the text that the answer goes on from; an engine that may say it again is not heard doing so.
        """
        self.finish = EngineFinish()
        self._number = number
        self._prompt = prompt
        self._engine = engine
        self._calls_tools = False
        evidence = prompt.evidence
        if prompt.form.format != "text":
            evidence = structs.replace(evidence, passages=())  # brackets are the answer's own: nothing can be cited
        self._citer = Citer(evidence, citations, reads_marks=engine.writes_marks)
        prefix = "" if Ability.CONTINUES in engine.abilities else prefix
        self._trimmer = Trimmer(prompt.sampling.stop, prefix=prefix) if prefix or prompt.sampling.stop else None
        self._is_plain = number == 0 and self._trimmer is None  # what the citer gives goes out as it is

    @property
    def reason(self) -> FinishReason:
        """Why it ended; calls of tools are a reason of their own, whatever the engine calls it."""
        if self._trimmer is not None and self._trimmer.is_stopped:
            return "stop"
        return "tool_calls" if self._calls_tools and self.finish.reason == "stop" else self.finish.reason

    async def write(self) -> AsyncGenerator[Delta, None]:
        """Have the engine write; ends with the engine, or at a stop string, which stops the engine."""
        async with _closing(self._engine.generate(self._prompt)) as events:
            async for event in events:
                if isinstance(event, EngineFinish):
                    self.finish = event
                elif delta := self._feed(event):
                    yield delta
                if self._trimmer is not None and self._trimmer.is_stopped:
                    return
        for delta in self._rest():
            yield delta

    def _feed(self, event: Text | Mark | ToolCallPiece) -> Delta | None:
        if self._is_plain and isinstance(event, Text) and not event.logprobs:  # most of what there is
            return self._citer.feed(event)
        if isinstance(event, ToolCallPiece):
            self._calls_tools = True
            delta: Delta | None = Delta(text="", tool_calls=(event,))
        else:
            delta = self._citer.feed(event)
            if isinstance(event, Text) and event.logprobs:
                delta = structs.replace(delta or Delta(text=""), logprobs=event.logprobs)
        return None if delta is None else self._shown(delta)

    def _shown(self, delta: Delta) -> Delta | None:
        if self._number:
            delta = structs.replace(delta, choice=self._number)
        return delta if self._trimmer is None else self._trimmer.feed(delta)

    def _rest(self) -> Iterator[Delta]:
        """Yield what is held back at the end."""
        if (last := self._citer.close()) and (delta := self._shown(last)):
            yield delta
        if self._trimmer is not None and (held := self._trimmer.close()):
            yield structs.replace(held, choice=self._number)


async def side_by_side(choices: Sequence[Choice]) -> AsyncGenerator[Delta, None]:
    """Write several choices at once: their deltas as they come. Closing it stops all of them.

    The error of one is the error of the whole answer; the others are stopped.
    """
    streams = [choice.write() for choice in choices]
    steps = {asyncio.create_task(_next(stream)): stream for stream in streams}
    try:
        while steps:
            done, _ = await asyncio.wait(steps, return_when=asyncio.FIRST_COMPLETED)
            for step in [step for step in steps if step in done]:
                stream = steps.pop(step)
                delta = step.result()
                if delta is not None:
                    steps[asyncio.create_task(_next(stream))] = stream
                    yield delta
    finally:
        for step in steps:
            step.cancel()
        await asyncio.gather(*steps, return_exceptions=True)
        for stream in streams:
            await stream.aclose()


async def _next(stream: AsyncGenerator[Delta, None]) -> Delta | None:
    return await anext(stream, None)


@asynccontextmanager
async def _closing(events: AsyncIterator[EngineEvent]) -> AsyncIterator[AsyncIterator[EngineEvent]]:
    """Close an engine's iterator in any case; engines are async generators, though only iterators by contract."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
