"""Cut a failing plan down to the events that it needs, so that a person can read its history."""

from __future__ import annotations

from msgspec.structs import replace

from simulation.history import Cast, HistoryFailed, play
from simulation.plan import Plan

MAX_PLAYS = 200


def shrink(failed: HistoryFailed, cast: Cast | None = None) -> HistoryFailed:
    """Return a failure of the same rule with no event that can be left out."""
    n_plays = 0
    at = 0
    while at < len(failed.plan.events) and n_plays < MAX_PLAYS:
        n_plays += 1
        events = failed.plan.events
        smaller = _try(replace(failed.plan, events=events[:at] + events[at + 1 :]), failed.rule, cast)
        if smaller is None:
            at += 1
        else:
            failed, at = smaller, 0
    return failed


def _try(plan: Plan, rule: str, cast: Cast | None) -> HistoryFailed | None:
    try:
        play(plan, cast)
    except HistoryFailed as failed:
        return failed if failed.rule == rule else None
    return None
