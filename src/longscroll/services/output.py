"""How many tokens an answer has so far, over all its choices. Knows no engine's own count."""

from __future__ import annotations

import asyncio

from longscroll.tokens import RunningCount, TokenCounter
from longscroll.types import Delta

ON_LOOP_CHARS = 2_000
"""A longer text is counted in a thread: the event loop is given a millisecond."""


class OutputCount:
    """Counts the deltas of one answer; calls of tools count with their names and arguments."""

    def __init__(self, counter: TokenCounter, n_choices: int) -> None:
        self._choices = [RunningCount(counter) for _ in range(n_choices)]
        self._certain = [0] * n_choices

    def add(self, delta: Delta) -> int:
        """Add a delta; return the cumulative count that is certain so far, which never falls."""
        text = delta.text
        if delta.tool_calls:
            text += "".join((piece.name or "") + piece.arguments for piece in delta.tool_calls)
        n_certain = self._choices[delta.choice].add(text)
        if len(self._choices) == 1:
            return n_certain
        self._certain[delta.choice] = n_certain
        return sum(self._certain)

    async def total(self) -> int:
        """Count all choices to their ends; one without a word's end in it, such as coded bytes, in a thread."""
        return sum([await _total(choice) for choice in self._choices])


async def _total(running: RunningCount) -> int:
    return running.total() if running.n_open_chars <= ON_LOOP_CHARS else await asyncio.to_thread(running.total)
