"""The real command as a process: start, restart, signals, what survives and what is gone."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from factories.http import Client
from factories.running import RunningService

TEXT = "The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
SLOW_SCRIPT = """
[[rule]]
model = "slow"
deltas = ["one ", "two ", "three ", "four ", "five"]
pace_s = 0.3
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    with RunningService(tmp_path / "data") as running:
        yield running


def refused(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "longscroll", "serve", "--data-dir", str(data_dir), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.item(15)
def test_it_is_healthy_and_ready_without_a_key(service: RunningService) -> None:
    client = Client(service, key="none")
    assert [client.request("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(service: RunningService) -> None:
    mode = stat.S_IMODE((service.data_dir / "api-key").stat().st_mode)
    assert (mode, service.key[:6]) == (0o600, "sk-ls-")
    assert service.key not in service.log_path.read_text()


def test_a_key_of_the_environment_is_used_instead(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data", environment={"LONGSCROLL_API_KEY": "any-opaque-string"}) as running:
        assert Client(running, key="any-opaque-string").request("GET", "/v1/models").status == 200


@pytest.mark.item(75)
def test_files_keys_and_answers_survive_a_restart(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as first:
        file_id = Client(first).upload("lighthouse.txt", TEXT.encode())
        before = Client(first).parsed(file_id)
        answer = Client(first).ask("Who kept bees?", file_id)
        key = first.key
        assert first.stop() == 0
    with RunningService(tmp_path / "data") as second:
        client = Client(second, key=key)
        assert (client.file(file_id), client.ask("Who kept bees?", file_id)) == (before, answer)
    assert "Ada Thornbury" in answer["content"]


@pytest.mark.item(75)
def test_an_acknowledged_upload_survives_kill_9(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as first:
        file_id = Client(first).upload("lighthouse.txt", TEXT.encode())
        first.kill()
    with RunningService(tmp_path / "data") as second:
        assert Client(second).parsed(file_id)["status"] == "processed"
        assert Client(second).request("GET", f"/v1/files/{file_id}/content").body.decode() == TEXT.rstrip("\n") + "\n"


@pytest.mark.item(75)
def test_an_upload_that_breaks_off_leaves_nothing(service: RunningService) -> None:
    head = (
        "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + service.key + "\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="half.txt"\r\n\r\n'
    )
    with socket.create_connection(service.host_and_port) as connection:
        connection.sendall(head.encode() + b"x" * 500_000)
        time.sleep(0.3)
    time.sleep(0.5)
    assert Client(service).request("GET", "/v1/files").json["data"] == []
    assert not [path for path in service.data_dir.rglob("*") if path.is_file() and b"xxxx" in path.read_bytes()]


def test_a_deleted_file_is_gone_from_the_disk(service: RunningService) -> None:
    client = Client(service)
    file_id = client.upload("lighthouse.txt", TEXT.encode())
    client.parsed(file_id)
    client.request("DELETE", f"/v1/files/{file_id}")
    assert not [path for path in service.data_dir.rglob("*") if path.is_file() and b"Thornbury" in path.read_bytes()]
    assert client.chat(("system", f"fileid://{file_id}"), ("user", "?")).json["error"]["message"] == (
        f"Invalid file [id:{file_id}]."
    )


def test_a_running_stream_finishes_after_sigterm(tmp_path: Path) -> None:
    (tmp_path / "answers.toml").write_text(SLOW_SCRIPT)
    config = f'[[model]]\nname = "slow"\nengine = "scripted"\nscript = "{tmp_path / "answers.toml"}"\n'
    (tmp_path / "longscroll.toml").write_text(config)
    replies = []
    with RunningService(tmp_path / "data", arguments=["--config", str(tmp_path / "longscroll.toml")]) as running:
        client = Client(running)
        thread = threading.Thread(
            target=lambda: replies.append(client.chat(("user", "go"), model="slow", stream=True)), daemon=True
        )
        thread.start()
        time.sleep(0.7)
        assert running.stop() == 0
        thread.join(10)
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in replies[0].events)
    assert (text, replies[0].body.endswith(b"data: [DONE]\n\n")) == ("one two three four five", True)


def test_a_second_service_on_the_same_folder_is_refused_and_the_first_goes_on(service: RunningService) -> None:
    file_id = Client(service).upload("lighthouse.txt", TEXT.encode())
    second = refused(service.data_dir, "--port", "0")
    assert (second.returncode, second.stdout, len(second.stderr.strip().splitlines())) == (1, "", 1)
    assert f"already in use by process {service.process.pid}" in second.stderr
    assert Client(service).parsed(file_id)["status"] == "processed"
    assert "Ada Thornbury" in Client(service).ask("Who kept bees?", file_id)["content"]


def test_a_port_in_use_is_said_in_one_line(service: RunningService, tmp_path: Path) -> None:
    second = refused(tmp_path / "other", "--port", str(service.host_and_port[1]))
    assert (second.returncode, len(second.stderr.strip().splitlines())) == (1, 1)
    assert "Cannot listen" in second.stderr


def test_an_unknown_option_in_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "longscroll.toml").write_text("[server]\nprot = 1\n")
    ended = refused(tmp_path / "data", "--config", str(tmp_path / "longscroll.toml"))
    assert (ended.returncode, "prot" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


def test_nothing_is_left_running_when_it_is_killed(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as running:
        family = children(running.process.pid)
        running.kill()
    until = time.monotonic() + 5
    while (left := [pid for pid in family if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.05)
    assert (bool(family), left) == (True, [])


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_ask_answers_without_a_server_and_remembers_the_document(tmp_path: Path) -> None:
    (tmp_path / "lighthouse.txt").write_text(TEXT)
    command = [sys.executable, "-m", "longscroll", "ask", "Who kept bees?", str(tmp_path / "lighthouse.txt")]
    command += ["--data-dir", str(tmp_path / "data"), "--json"]
    answers = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(2)]
    assert "Ada Thornbury" in answers[0]["answer"]
    assert answers[0]["citations"][0]["filename"] == "lighthouse.txt"
    assert answers[0]["answer"] == answers[1]["answer"]
    assert answers[0]["citations"][0]["file_id"] == answers[1]["citations"][0]["file_id"]
