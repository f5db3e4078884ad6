"""That the simulation can fail: every defect that is put into the stores or the services is found."""

from __future__ import annotations

import time

import pytest

from simulation.history import Cast, HistoryFailed, play
from simulation.mutants import MUTANTS
from simulation.plan import draw_plan
from simulation.shrink import shrink

MAX_HISTORIES = 3000
RARE = {"NeverWithdraws"}
"""Found, but after so many histories that it takes a while."""


def first_failure(cast: Cast) -> HistoryFailed:
    for seed in range(MAX_HISTORIES):
        try:
            play(draw_plan(seed), cast)
        except HistoryFailed as failed:
            play(failed.plan)  # it is the defect that breaks the rule
            return failed
    raise AssertionError(f"{MAX_HISTORIES} histories find nothing wrong.")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in RARE else name for name in MUTANTS]
)
def test_a_defect_is_found(name: str) -> None:
    began = time.process_time()
    failed = first_failure(MUTANTS[name])
    print(f"{name}: {failed.rule}, by history {failed.plan.seed} after {time.process_time() - began:.1f} CPU-seconds")  # noqa: T201 shown with -s


def test_a_failing_plan_is_cut_down_to_what_it_needs() -> None:
    failed = shrink(first_failure(MUTANTS["PublishesFirst"]), MUTANTS["PublishesFirst"])
    assert [type(event).__name__ for event in failed.plan.events] == ["Upload"]
    assert f"seed {failed.plan.seed}: a processed file has no whole artifact" in str(failed)
