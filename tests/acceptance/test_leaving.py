"""A client that leaves stops the work for it in the real service: engine, upstream, reader and every queue."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import pytest

from factories.departures import CASES, Case, Stage

pytestmark = pytest.mark.slow

STOPPED_WITHIN_S = 0.25
N_TRIES = 3
"""Their median counts, because other tests run beside; benchmarks/serving/leaving.py prints the worst of many."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("leaving")) as running:
        yield running


@pytest.mark.item(46)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.waits_for}-{case.surface}-{case.is_streamed}")
def test_leaving_stops_the_work(stage: Stage, case: Case) -> None:
    assert median(stage.leave(case) for _ in range(N_TRIES)) <= STOPPED_WITHIN_S


def test_who_left_is_no_line_in_the_log(stage: Stage) -> None:
    stage.leave(Case("upstream answer", "compat", True))
    stage.leave(Case("local silence", "native", True))
    assert "Traceback" not in stage.service.log_path.read_text()
