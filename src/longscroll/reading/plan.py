"""Which way a question is read: the whole text, the passages that fit it, or a digest of everything.

Owns the rules: pure functions of a question and of sizes. Knows no document's text, no engine and no index.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from longscroll.engines.base import PlanKind
from longscroll.reading.question import is_about_everything


class PlanOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an engine reads."""

    whole_tokens: int = 32_000  # documents up to this are read whole where the window allows
    budget_tokens: int = 16_000  # passages of a lookup
    wide_budget_tokens: int = 32_000  # the same for windows of ``wide_window`` and more
    wide_window: int = 128_000
    quote_tokens: int = 8_000  # passages handed to an engine that quotes
    max_prefill_s: float = 20.0  # a whole reading that would take longer becomes a lookup


class Plan(Struct, frozen=True, kw_only=True):
    """How a question is read, why, and with how many tokens of documents at most."""

    kind: PlanKind
    reason: str  # one phrase, for the report
    budget: int


class Room(Struct, frozen=True, kw_only=True):
    """What the engine leaves for documents. ``context_window`` None: an engine that quotes and has no window."""

    context_window: int | None
    n_reserved: int = 0  # history, behavior prompt, rules, answer
    n_wanted: int | None = None  # a budget the caller set
    prefill_tokens_per_s: float | None = None  # what the engine was seen to read; None: not known yet

    @property
    def n_free(self) -> int:
        """Tokens of the window that are not reserved."""
        return 0 if self.context_window is None else max(0, self.context_window - self.n_reserved)

    def budget(self, options: PlanOptions) -> int:
        """Tokens of passages for a lookup or a digest; never more than the window leaves."""
        if self.context_window is None:
            return self.n_wanted or options.quote_tokens
        is_wide = self.context_window >= options.wide_window
        cap = self.n_wanted or (options.wide_budget_tokens if is_wide else options.budget_tokens)
        return min(cap, self.n_free)


def choose(
    question: str,
    sizes: Sequence[int],
    *,
    room: Room,
    options: PlanOptions,
) -> Plan:
    """Choose the plan for a question over documents of these sizes (tokens).

    Rules only, no model call: nothing to read; everything fits; a question about the whole; else a lookup.
    """
    if not sizes:
        return Plan(kind="none", reason="no documents in the conversation", budget=0)
    is_global = is_about_everything(question)
    if room.context_window is not None and _fits_whole(sum(sizes), is_global, room, options):
        return Plan(kind="whole", reason="the documents fit the model's window", budget=room.n_free)
    budget = room.budget(options)
    if is_global:
        return Plan(kind="digest", reason="the question is about the documents as a whole", budget=budget)
    return Plan(kind="lookup", reason="the question names something to look up", budget=budget)


def _fits_whole(n_tokens: int, is_global: bool, room: Room, options: PlanOptions) -> bool:
    limit = room.n_free if is_global else min(room.n_free, options.whole_tokens)
    speed = room.prefill_tokens_per_s
    return n_tokens <= limit and (speed is None or n_tokens <= speed * options.max_prefill_s)
