"""kill -9 of any process of a service and its worker at random moments, while clients upload, ask and delete."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import pytest

from factories.kills import Stage
from factories.random_kills import kill_at_random, report

N_KILLS = 60


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_left_or_half_done_by_sixty_kills(tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    with Stage(tmp_path / "data", seed=seed) as stage:
        tally = kill_at_random(stage, n_kills=N_KILLS, seed=seed)
        sys.stdout.write(f"\nseed {seed}\n{report(tally, stage.history)}\n")
        assert (stage.history.harms, tally.kills.total()) == ([], N_KILLS)
