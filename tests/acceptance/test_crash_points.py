"""kill -9 at every registered moment, the first and the second time that it is reached; then the service recovers."""

from __future__ import annotations

import random
import shutil
import signal
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories.canaries import make_token, pdf_document, text_document
from factories.history import Fate
from factories.kills import Stage
from factories.patience import patience
from factories.running import NotReady, RunningService, crashing_at
from factories.workload import Clients
from longscroll.telemetry import Moment

DIES_WITHIN_S = 30.0
RECOVERY_S = 3.0
N_LARGE_PAGES = 1200
OF_WORKERS = (
    Moment.BLOB_FORCED,
    Moment.BLOB_RENAMED,
    Moment.CLAIMED,
    Moment.PARSED,
    Moment.PREVIEW_ADOPTED,
    Moment.ARTIFACT_ADOPTED,
    Moment.PUBLISHED,
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose first start is over."""
    data_dir = tmp_path_factory.mktemp("crash") / "data"
    with RunningService(data_dir) as running:
        assert running.stop() == 0
    return data_dir


@pytest.fixture(scope="module")
def recoveries() -> Iterator[list[float]]:
    """The seconds of every recovery; printed at the end, when half of them must have been quick."""
    seconds: list[float] = []
    yield seconds
    if len(seconds) > 1:
        p50, p95, most = statistics.median(seconds), statistics.quantiles(seconds, n=20)[-1], max(seconds)
        sys.stdout.write(f"\n{len(seconds)} recoveries: p50 {p50:.2f} s, p95 {p95:.2f} s, max {most:.2f} s\n")
        assert p50 <= patience(RECOVERY_S)


def live_small(clients: Clients, chance: random.Random) -> None:
    """Upload a small file, ask about it when it is read, and delete every second one."""
    upload = clients.upload(text_document(make_token(chance), size_bytes=chance.randrange(1000, 60_000)))
    clients.ask(upload, day=3, stream=True)
    if chance.random() < 0.5:
        clients.delete(upload)


def live_large(clients: Clients, chance: random.Random) -> None:
    """Upload a file that is read in parts, and delete it while that is under way or afterwards."""
    upload = clients.upload(pdf_document(make_token(chance), n_pages=N_LARGE_PAGES))
    if chance.random() < 0.5:
        clients.stopped.wait(chance.uniform(0.1, 0.6))
    else:
        clients.ask(upload, day=3, stream=False)
    clients.delete(upload)


def die(stage: Stage, moment: Moment, n_th: int) -> None:
    """Run the service with its clients until it dies at the moment."""
    try:
        stage.start(program=crashing_at(moment, n_th))
    except NotReady as dead:
        stage.look_for_orphans(dead.family.members)
        return
    stage.watch()
    stage.act("small", live_small)
    stage.act("large", live_large)
    service = stage.service
    try:
        assert service.wait(DIES_WITHIN_S) == -signal.SIGKILL
    finally:
        stage.clients.service = None
    stage.bury(service)
    stage.stop_clients()


def recover(stage: Stage) -> float:
    """Start the service again and wait until all small files are read; returns the seconds that this took."""
    began = stage.start()
    small = [upload for upload in stage.history.of(Fate.KEPT) if upload.is_small]
    recovered = stage.until_final(small)
    return recovered - began


@pytest.mark.slow
@pytest.mark.parametrize("n_th", [1, 2])
@pytest.mark.parametrize("moment", Moment)
def test_it_recovers_from_a_kill_at_every_moment(
    moment: Moment, n_th: int, prepared: Path, recoveries: list[float], tmp_path: Path
) -> None:
    shutil.copytree(prepared, tmp_path / "data")
    with Stage(tmp_path / "data", seed=n_th) as stage:
        die(stage, moment, n_th)
        recoveries.append(recover(stage))
        stage.rest()
        assert stage.service.stop() == 0
    assert stage.history.harms == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", OF_WORKERS)
def test_a_worker_that_dies_at_a_moment_costs_nothing(moment: Moment, prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "data")
    with Stage(tmp_path / "data") as stage:
        stage.start()
        worker = stage.start_worker(program=crashing_at(moment, 1))
        stage.watch()
        for name in ("small 1", "small 2", "small 3", "small 4"):  # more than the service takes by itself
            stage.act(name, live_small)
        stage.act("large", live_large)
        assert worker.wait(4 * DIES_WITHIN_S) == -signal.SIGKILL
        stage.bury(worker)
        stage.rest()
        assert stage.service.stop() == 0
    assert stage.history.harms == []
