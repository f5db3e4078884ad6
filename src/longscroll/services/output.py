"""How many tokens an answer has so far, over all its choices. Knows no engine's own count."""

from __future__ import annotations

import asyncio

from longscroll.tokens import RunningCount, TokenCounter
from longscroll.types import Delta

ON_LOOP_CHARS = 2_000
"""A longer text is counted, or sorted, in a thread: the event loop is given a millisecond."""
MAX_WAITING_CHARS = 1_000
"""Text that waits to be counted, until somebody asks: counted piece by piece it would cost several times as much."""


class OutputCount:
    """Counts the deltas of one answer; calls of tools count with their names and arguments."""

    def __init__(self, counter: TokenCounter, n_choices: int) -> None:
        self._choices = [RunningCount(counter) for _ in range(n_choices)]
        self._certain = [0] * n_choices
        self._waiting: list[list[str]] = [[] for _ in range(n_choices)]
        self._n_waiting_chars = 0

    def add(self, delta: Delta) -> bool:
        """Add a delta; it is counted when much waits, or when somebody asks. Says whether it has any tokens."""
        text = delta.text
        if delta.tool_calls:
            text += "".join((piece.name or "") + piece.arguments for piece in delta.tool_calls)
        self._waiting[delta.choice].append(text)
        self._n_waiting_chars += len(text)
        if self._n_waiting_chars > MAX_WAITING_CHARS:
            self.n_certain()
        return bool(text)

    def n_certain(self) -> int:
        """Return the cumulative count that is certain so far, which never falls."""
        for number, waiting in enumerate(self._waiting):
            if waiting:
                self._certain[number] = self._choices[number].add("".join(waiting))
                waiting.clear()
        self._n_waiting_chars = 0
        return sum(self._certain)

    async def total(self) -> int:
        """Count all choices to their ends; one without a word's end in it, such as coded bytes, in a thread."""
        texts = ["".join(waiting) for waiting in self._waiting]
        return sum([await _total(choice, text) for choice, text in zip(self._choices, texts, strict=True)])


async def _total(running: RunningCount, text: str) -> int:
    if running.n_open_chars + len(text) <= ON_LOOP_CHARS:
        return running.total(text)
    return await asyncio.to_thread(running.total, text)
