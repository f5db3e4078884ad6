"""Random histories of the real ingestion and file service, each a seed: whatever happens, nothing is lost or left.

A failure prints the shortest plan of its kind and all that happened; ``pytest tests/simulation --history SEED`` plays
it again. ``-s`` shows how many histories a second were played.
"""

from __future__ import annotations

import time

import pytest

from simulation.history import HistoryFailed, play, told
from simulation.plan import draw_plan
from simulation.shrink import shrink

N_AT_ONCE = 60


def play_all(seeds: range) -> None:
    began = time.process_time()
    n_operations = sum(n_of(seed) for seed in seeds)
    took_s = time.process_time() - began
    print(f"{len(seeds) / took_s:.0f} histories a CPU-second, {n_operations / len(seeds):.0f} events each")  # noqa: T201 shown with -s


def n_of(seed: int) -> int:
    try:
        return len(play(draw_plan(seed)).world.events)
    except HistoryFailed as failed:
        raise shrink(failed) from None


def test_the_history_that_was_asked_for(seed: int) -> None:
    play_all(range(seed, seed + 1))


@pytest.mark.parametrize("first", range(0, 360, N_AT_ONCE))
def test_every_file_comes_to_its_one_end_and_every_deletion_is_final(first: int) -> None:
    play_all(range(first, first + N_AT_ONCE))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 6_000, 500))
def test_thousands_of_histories_keep_every_promise(first: int) -> None:
    play_all(range(first, first + 500))


def test_a_history_always_happens_in_the_same_way() -> None:
    first, second = ([(at_s, who, told(event)) for at_s, who, event in play(draw_plan(7)).world.events] for _ in "12")
    assert first == second
