"""The commands that a person types, as processes, on one running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client
from factories.running import RunningService

BEES = "The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
REFUSED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("commands") / "data") as running:
        yield running


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "lighthouse 灯塔.txt"
    path.write_text(BEES, encoding="utf-8")
    return path


Command = Sequence[str | Path]


def run(*command: str | Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGSCROLL_")}
    return subprocess.run(
        [sys.executable, "-m", "longscroll", *command],
        input=typed,
        capture_output=True,
        env=environment | {"PYTHONUTF8": "1"},
        text=True,
        timeout=60,
    )


def output(*command: str | Path, typed: str = "") -> str:
    done = run(*command, typed=typed)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


def rows(*command: str | Path) -> list[Any]:
    return [json.loads(line) for line in output(*command, "--json").splitlines()]


def on(service: RunningService) -> tuple[str, ...]:
    """The options that lead a command to the service."""
    return ("--data-dir", str(service.data_dir), "--base-url", service.url)


def of(service: RunningService) -> tuple[str, ...]:
    return ("--data-dir", str(service.data_dir))


def test_what_is_put_is_listed_shown_read_and_deleted(service: RunningService, notes: Path) -> None:
    file_id = output("files", "put", notes, *on(service)).strip()
    [shown] = rows("files", "get", file_id, *on(service))
    assert (shown["id"], shown["filename"], shown["status"]) == (file_id, notes.name, "processed")
    assert shown in rows("files", "list", *on(service))
    assert output("files", "get", file_id, "--text", *on(service)) == BEES
    assert output("files", "delete", file_id, *on(service)) == ""
    assert file_id not in output("files", "list", *on(service))


def test_a_listing_for_people_has_a_header_and_a_line_for_each_file(service: RunningService, notes: Path) -> None:
    file_id = output("files", "put", notes, "--no-wait", *on(service)).strip()
    header, *lines = output("files", "list", *on(service)).splitlines()
    assert header.split() == ["id", "status", "bytes", "name", "details"]
    assert [line for line in lines if line.startswith(file_id) and notes.name in line]


def test_a_file_that_is_not_there_is_said_in_one_line(service: RunningService) -> None:
    for command in (("get",), ("get", "--text"), ("delete",)):
        done = run("files", *command, "file-fe-000000000000000000000000", *on(service))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert "file-fe-000000000000000000000000" in done.stderr


def test_a_file_without_a_document_ends_put_with_its_reason(service: RunningService, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing follows")
    done = run("files", "put", tmp_path / "broken.pdf", *on(service))
    assert (done.returncode, done.stderr.startswith("broken.pdf: ")) == (1, True)
    assert done.stdout.startswith("file-fe-")


def test_without_a_service_a_command_says_how_to_start_one(tmp_path: Path) -> None:
    done = run("files", "list", "--data-dir", tmp_path, "--base-url", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "longscroll serve" in done.stderr


def test_a_key_opens_the_running_service_until_it_is_revoked(service: RunningService) -> None:
    key = output("keys", "create", "--name", "a laptop", *of(service)).strip()
    assert models(service, key) == 200
    [row] = [row for row in rows("keys", "list", *of(service)) if row["name"] == "a laptop"]
    assert (row["state"], row["workspace"], row["key"].endswith(key[-4:])) == ("active", "default", True)
    output("keys", "revoke", row["id"], *of(service))
    revoked_at = time.monotonic()
    while models(service, key) != 401:
        assert time.monotonic() - revoked_at < REFUSED_WITHIN_S
        time.sleep(0.1)
    [row] = [row for row in rows("keys", "list", *of(service)) if row["name"] == "a laptop"]
    assert (row["state"], row["revoked_at"] > row["created_at"], row["expires_at"]) == ("revoked", True, None)


def test_a_key_for_a_model_that_nobody_serves_is_made_with_a_word_about_it(service: RunningService) -> None:
    done = run("keys", "create", "--model", "qwen-long", "--model", "qwen-lnog", *of(service))
    assert (done.returncode, len(done.stdout.split())) == (0, 1)
    assert done.stderr == "longscroll: no model is named qwen-lnog in this configuration.\n"


def models(service: RunningService, key: str) -> int:
    return Client(service, key=key).request("GET", "/v1/models").status


def test_no_listing_shows_a_key(service: RunningService) -> None:
    shown = output("keys", "list", *of(service))
    assert service.key.startswith("sk-ls-")
    assert (service.key in shown, service.key[-4:] in shown) == (False, True)


def test_a_key_of_another_workspace_sees_none_of_our_files(service: RunningService, notes: Path) -> None:
    file_id = output("files", "put", notes, "--no-wait", *on(service)).strip()
    key = output("keys", "create", "--workspace", "elsewhere", *of(service)).strip()
    stranger = Client(service, key=key)
    assert stranger.request("GET", "/v1/files").json["data"] == []
    assert stranger.request("GET", f"/v1/files/{file_id}").status == 404


def test_a_key_that_is_not_there_cannot_be_revoked(service: RunningService) -> None:
    done = run("keys", "revoke", "key-absent", *of(service))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


def test_the_models_of_the_command_are_those_of_the_service(service: RunningService) -> None:
    listed = rows("models", "list", *of(service))
    served = Client(service).request("GET", "/v1/models").json["data"]
    assert {"qwen-long", "chatyuan-large-v2"} <= {row["name"] for row in listed}
    assert {model["id"] for model in served} <= {name for row in listed for name in (row["name"], *row["aliases"])}
    assert "qwen-long" in output("models", "list", *of(service))


def test_the_doctor_finds_nothing_to_mend(service: RunningService) -> None:
    findings = rows("doctor", *of(service))
    assert [finding for finding in findings if not finding["is_ok"]] == []
    assert {"version", "vocabulary", "containment", "data folder", "database"} <= {one["what"] for one in findings}


def test_the_doctor_names_a_model_server_that_does_not_answer(tmp_path: Path) -> None:
    upstream = '[[upstream]]\nname = "gone"\nurls = ["http://127.0.0.1:9"]\n'
    (tmp_path / "longscroll.toml").write_text(upstream)
    done = run("doctor", "--config", tmp_path / "longscroll.toml", "--data-dir", tmp_path / "data")
    assert done.returncode == 1
    assert "MEND  model server gone" in done.stdout


def test_a_conversation_goes_on_until_an_empty_line(tmp_path: Path, notes: Path) -> None:
    typed = "When was the lighthouse lit?\n\nnever asked\n"
    said = output("ask", "Who kept bees?", notes, "--chat", "--data-dir", tmp_path / "data", typed=typed)
    first, second = said.index("Ada Thornbury"), said.index("1871")
    assert first < second
    assert said.count(f"[1] {notes.name}") == 2
