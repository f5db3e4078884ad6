"""What a stream that waits says in its comment frames: how far the parse is that it waits for.

Owns the words, which both surfaces frame in their own way. No file name and no id appears in them: a comment may end up
in the log of any proxy.
"""

from __future__ import annotations

from longscroll.types import Progress

KEEP_ALIVE = "keep-alive"
"""Said when there is nothing to tell."""

_MEGABYTE = 1_000_000
_IN_MINUTES_S = 120


def comment(progress: Progress | None) -> str:
    """Return what a comment frame says; printable ASCII on one line."""
    if progress is None:
        return KEEP_ALIVE
    if progress.stage == "queued":
        return "waiting for a parser"
    if progress.stage == "reading":
        return "reading"
    if progress.n_total is None:
        return "parsing"
    amount = f"parsing {_amount(progress.n_done, progress.n_total, progress.unit)}"
    return amount if progress.left_s is None else f"{amount}, about {_duration(progress.left_s)} left"


def _amount(n_done: int, n_total: int, unit: str) -> str:
    if unit == "pages":
        return f"{n_done} of {n_total} pages"
    return f"{n_done / _MEGABYTE:.1f} of {n_total / _MEGABYTE:.1f} MB"


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < _IN_MINUTES_S else f"{round(seconds / 60)} min"
