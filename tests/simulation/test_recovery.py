"""How soon the files of a process that died are taken up, and that no workspace waits for another's many files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from longscroll.storage.base import Claim
from simulation.history import OPTIONS, Cast, play
from simulation.mutants import EarlyFirst
from simulation.plan import Kill, Plan, Upload
from simulation.world import World

STORES_TAKE_S = 1.0  # at most, for the few operations from a look at the rows to a claim
SEEDS = range(20)
BIG = Upload(0.2, 0, "ws0", "good", 8, 2.0)


def claims(world: World) -> Iterator[tuple[float, str, Claim]]:
    for at_s, who, event in world.events:
        if isinstance(event, tuple) and event[0].what == "claim" and isinstance(event[1], Claim):
            yield at_s, who, event[1]


def taken_up_after_s(seed: int, known_after_s: float | None) -> float:
    """Kill the one process that parses; return when another has its file."""
    kill = Kill(0.5 + 3.0 * seed / len(SEEDS), 0, "now", "", 0, known_after_s, 60.0)
    world = play(Plan(seed, 1, (0.0, 0.0), (BIG, kill))).world
    (killed_at_s,) = [at_s for at_s, who, event in world.events if who == "api-0.0" and event == "is killed"]
    later = [at_s for at_s, who, _ in claims(world) if at_s > killed_at_s and who != "api-0.0"]
    return later[0] - killed_at_s


@pytest.mark.parametrize("known_after_s", [0.0, 1.5])
def test_the_files_of_a_process_that_is_known_to_be_dead_are_taken_up_at_the_next_look(known_after_s: float) -> None:
    slowest_s = max(taken_up_after_s(seed, known_after_s) for seed in SEEDS)
    assert slowest_s < known_after_s + OPTIONS.poll_s + STORES_TAKE_S


def test_the_files_of_a_process_that_fell_silent_are_taken_up_when_its_lease_ends() -> None:
    slowest_s = max(taken_up_after_s(seed, None) for seed in SEEDS)
    assert OPTIONS.lease_s - OPTIONS.renew_s < slowest_s < OPTIONS.lease_s + OPTIONS.poll_s + STORES_TAKE_S


def n_passed_over(cast: Cast, *, n_processes: int) -> int:
    """Return how many files of a busy workspace are claimed while the one file of another waits."""
    busy = [Upload(0.02 * number, number, "ws0", "good", 1, 0.3) for number in range(30)]
    plan = Plan(1, 2, (0.0,) * n_processes, (*busy, Upload(0.3, 99, "ws1", "good", 8, 0.3)))
    world = play(plan, cast).world
    (added_at_s,) = [at_s for at_s, who, event in world.events if event == "hears that file-99 is kept"]
    workspaces = [claim.file.workspace for at_s, _, claim in claims(world) if at_s > added_at_s]
    return workspaces.index("ws1") if "ws1" in workspaces else 0


@pytest.mark.parametrize("n_processes", [1, 2])
def test_the_one_file_of_a_workspace_does_not_wait_for_the_many_of_another(n_processes: int) -> None:
    assert n_passed_over(Cast(), n_processes=n_processes) <= 2
    assert n_passed_over(Cast(files=EarlyFirst), n_processes=n_processes) > 5
