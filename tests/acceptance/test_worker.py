"""``longscroll worker`` beside a running service: files are shared, nothing is done twice, and either may die."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client
from factories.running import RunningService, RunningWorker

N_SHARED = 20
TAKEN_OVER_S = 3.0
DELETED_WITHIN_S = 1.5
ENDED_WITHIN_S = 2.0


def log_book(mark: str, n_lines: int) -> bytes:
    lines = (f"{mark}: on day {n} the sea was calm, the wind was {n % 7}, the lamp burned.\n" for n in range(n_lines))
    return "".join(lines).encode()


class Pair:
    """A service, and a worker on its data folder; rows tell which of the two has a file."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.service = RunningService(data_dir)
        self.worker: RunningWorker | None = None

    @property
    def client(self) -> Client:
        return Client(self.service)

    def start_worker(self) -> RunningWorker:
        self.worker = RunningWorker(self.data_dir)
        return self.worker

    def present(self) -> set[str]:
        """The owners of claims that are alive."""
        return {path.name for path in (self.data_dir / "processes").iterdir()}

    def rows(self, what: str) -> list[Any]:
        path = self.data_dir / "longscroll.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(f"SELECT {what} FROM files ORDER BY sequence").fetchall()

    def give_the_worker_a_long_file(self) -> str:
        """Upload a file, and let the worker come to it first: the service is killed and begins again after it."""
        file_id = self.client.upload("log.txt", log_book("log", 500_000))
        self.service.kill()
        self.start_worker()
        until(lambda: {(owner,) for owner in self.present()} == set(self.rows("lease_owner")))
        self.service = RunningService(self.data_dir)
        assert self.rows("status") == [("uploaded",)]
        return file_id

    def close(self) -> None:
        for running in (self.worker, self.service):
            if running is not None and running.process.poll() is None:
                running.kill()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path / "data")
    try:
        yield pair
    finally:
        pair.close()


def until(condition: Callable[[], bool], *, within_s: float = 20) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + within_s, f"not so within {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.slow
def test_service_and_worker_share_uploads_and_parse_each_once(pair: Pair) -> None:
    pair.start_worker()
    file_ids = [pair.client.upload(f"log-{n}.txt", log_book(f"log {n}", 8_000)) for n in range(N_SHARED)]
    seen: set[str] = set()
    while ("uploaded",) in pair.rows("status"):
        seen |= {owner for (owner,) in pair.rows("lease_owner") if owner}
        time.sleep(0.02)
    assert (len(seen), seen) == (2, pair.present())
    assert pair.rows("status, attempt, fence") == [("processed", 1, 1)] * N_SHARED
    assert [pair.client.file(file_id)["status"] for file_id in file_ids] == ["processed"] * N_SHARED


@pytest.mark.slow
def test_the_file_of_a_killed_worker_is_taken_up_at_once_and_nothing_of_it_is_left(pair: Pair) -> None:
    pair.give_the_worker_a_long_file()
    [(of_the_worker,)] = pair.rows("lease_owner")
    of_the_service = pair.present() - {of_the_worker}
    assert pair.worker is not None
    pair.worker.kill()
    until(lambda: {owner for (owner,) in pair.rows("lease_owner")} == of_the_service, within_s=TAKEN_OVER_S)
    staging = pair.data_dir / "blobs" / "staging"
    assert len([path for path in staging.iterdir() if path.is_dir()]) == 1
    assert (pair.present(), pair.worker.family.members()) == (of_the_service, [])


@pytest.mark.slow
def test_progress_of_the_worker_is_seen_at_the_service_and_deletion_ends_its_parse(pair: Pair) -> None:
    file_id = pair.give_the_worker_a_long_file()
    until(lambda: n_done(pair.client.file(file_id)) > 0)
    began = time.monotonic()
    assert pair.client.request("DELETE", f"/v1/files/{file_id}").status == 200
    assert time.monotonic() - began < DELETED_WITHIN_S
    assert pair.rows("id") == []
    files = [path for path in pair.data_dir.rglob("*") if path.is_file()]
    assert [path for path in files if file_id in str(path) or b"the sea was calm" in path.read_bytes()] == []


def n_done(file: dict[str, Any]) -> int:
    return int((file.get("longscroll") or {}).get("progress", {}).get("done", 0))


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_gives_its_file_back_untouched(pair: Pair) -> None:
    pair.give_the_worker_a_long_file()
    [(attempt, fence)] = pair.rows("attempt, fence")
    assert pair.worker is not None
    began = time.monotonic()
    assert pair.worker.stop() == 0
    assert time.monotonic() - began < ENDED_WITHIN_S
    assert pair.worker.family.members() == []
    until(lambda: pair.rows("attempt, fence") == [(attempt, fence + 1)])  # given back, and taken by the service


def test_a_worker_needs_a_data_folder_that_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "longscroll", "worker", "--data-dir", str(tmp_path / "nothing")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
    assert "There is no data folder" in ended.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_worker_may_come_before_its_service(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with RunningWorker(tmp_path / "data") as worker, RunningService(tmp_path / "data") as service:
        file_id = Client(service).upload("log.txt", log_book("log", 10))
        assert Client(service).parsed(file_id)["status"] == "processed"
        assert (worker.stop(), service.stop()) == (0, 0)
