"""How fast each engine was seen to read, and which documents it has read already.

Owns a moving estimate for each model and a short memory of prefixes. Knows no engine: it is told what was measured.
"""

from __future__ import annotations

from collections import OrderedDict

from longscroll.engines.base import EngineUsage

MIN_TOKENS = 500
"""Shorter prompts say more about the network than about reading."""
MAX_REMEMBERED = 256
_WEIGHT = 0.3  # of the newest measurement


class Pace:
    """Estimates of prefill speed; belongs to one event loop."""

    def __init__(self) -> None:
        self._speeds: dict[str, float] = {}
        self._read: OrderedDict[tuple[str, str], None] = OrderedDict()

    def speed(self, model: str, affinity: str) -> float | None:
        """Return tokens a second; None when it is not known, or when the model holds these documents' prefix."""
        return None if (model, affinity) in self._read else self._speeds.get(model)

    def note(self, model: str, usage: EngineUsage, seconds: float) -> None:
        """Learn from one prompt: what was not cached was read within the time to the first text."""
        n_tokens = usage.n_input_tokens - usage.n_cached_tokens
        if n_tokens >= MIN_TOKENS and seconds > 0:
            before = self._speeds.get(model, n_tokens / seconds)
            self._speeds[model] = before + _WEIGHT * (n_tokens / seconds - before)

    def remember(self, model: str, affinity: str) -> None:
        """Note that a model has read these documents whole."""
        self._read[model, affinity] = None
        self._read.move_to_end((model, affinity))
        if len(self._read) > MAX_REMEMBERED:
            self._read.popitem(last=False)
