"""``longscroll doctor --verify`` beside a running service and without one: what is damaged is named, and mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client
from factories.running import RunningService

TEXT = b"The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with RunningService(tmp_path / "data") as running:
        yield running


def doctor(data_dir: Path, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run the command; return its exit status and what it says of each thing."""
    command = [sys.executable, "-m", "longscroll", "doctor", "--data-dir", str(data_dir), "--json", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGSCROLL_")}
    done = subprocess.run(command, capture_output=True, env=environment, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, {row["what"]: row for row in map(json.loads, done.stdout.splitlines())}


def stored(service: RunningService, file_id: str, name: str) -> Path:
    return service.data_dir / "blobs" / "w" / "default" / "f" / file_id / name


def parsed(service: RunningService, n_files: int) -> list[str]:
    client = Client(service)
    file_ids = [client.upload(f"notes-{n}.txt", TEXT) for n in range(n_files)]
    assert [client.parsed(file_id)["status"] for file_id in file_ids] == ["processed"] * n_files
    return file_ids


def overwrite(path: Path, data: bytes, *, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_a_sound_folder_is_counted_beside_its_service_and_without_it(service: RunningService) -> None:
    parsed(service, 2)
    seen = [doctor(service.data_dir, "--verify")]
    assert service.stop() == 0
    seen.append(doctor(service.data_dir, "--verify"))
    assert [(status, said["files"]["found"].split(",")[0]) for status, said in seen] == [(0, "2 checked")] * 2


def test_what_is_damaged_is_named_with_what_to_do_and_nothing_is_changed(service: RunningService) -> None:
    no_bytes, no_artifact, damaged = parsed(service, 3)
    stored(service, no_bytes, "bytes").write_bytes(TEXT.upper())
    stored(service, no_artifact, "artifact").unlink()
    overwrite(stored(service, damaged, "artifact"), b"\xff\xff", at=200)
    status, said = doctor(service.data_dir, "--verify")
    advice = [said[f"file {file_id}"]["advice"] for file_id in (no_bytes, no_artifact, damaged)]
    assert (status, said["files"]["is_ok"]) == (1, False)
    assert [words.split()[0] for words in advice] == ["Delete", "Let", "Let"]
    assert {Client(service).file(file_id)["status"] for file_id in (no_bytes, no_artifact, damaged)} == {"processed"}


def test_repair_lets_the_running_service_parse_again_what_can_be_mended_so(service: RunningService) -> None:
    client = Client(service)
    file_id, lost = parsed(service, 2)
    overwrite(stored(service, file_id, "artifact"), b"\xff\xff", at=200)
    stored(service, lost, "bytes").unlink()
    status, said = doctor(service.data_dir, "--verify", "--repair")
    assert (status, said[f"file {file_id}"]["is_ok"], said[f"file {lost}"]["is_ok"]) == (1, True, False)
    assert client.parsed(file_id)["status"] == "processed"
    assert "Ada Thornbury" in client.ask("Who kept bees?", file_id)["content"]
    assert client.request("DELETE", f"/v1/files/{lost}").status == 200
    assert doctor(service.data_dir, "--verify")[0] == 0


def test_files_that_come_and_go_meanwhile_are_no_problems(service: RunningService) -> None:
    client, is_over = Client(service), threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            client.request("DELETE", f"/v1/files/{client.upload('notes.txt', TEXT)}")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert [doctor(service.data_dir, "--verify")[0] for _ in range(2)] == [0, 0]
    finally:
        is_over.set()
        thread.join()


def test_bytes_without_a_row_are_named_until_a_start_removes_them(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service:
        orphan = stored(service, "file-fe-0123456789abcdef01234567", "bytes")
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(TEXT)
        assert doctor(service.data_dir, "--verify")[0] == 1
    with RunningService(tmp_path / "data"):
        assert doctor(tmp_path / "data", "--verify")[0] == 0


def test_before_the_first_start_there_is_nothing_to_check(tmp_path: Path) -> None:
    status, said = doctor(tmp_path / "data", "--verify")
    assert (status, said["files"]["found"], (tmp_path / "data").exists()) == (0, "none yet", False)


def test_a_database_that_is_none_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "longscroll.db").write_bytes(b"this is no database at all" * 100)
    status, said = doctor(tmp_path / "data", "--verify")
    assert (status, said["database"]["is_ok"]) == (1, False)


def test_repair_without_verify_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "longscroll", "doctor", "--repair", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
