"""The life of keys across processes: the command ends them in one, the service refuses them in another."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client, Reply
from factories.running import RunningService

KEYS = "/admin/v1/keys"
REFUSED_WITHIN_S = 5.0
WORDS = [f"word {n} " for n in range(24)]
SCRIPT = f"[[rule]]\ndeltas = {WORDS}\npace_s = 0.25\n"
"""A stream that takes six seconds: longer than any refusal may."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "answers.toml").write_text(SCRIPT)
    model = f'[[model]]\nname = "slow"\nengine = "scripted"\nscript = "{folder / "answers.toml"}"\n'
    (folder / "longscroll.toml").write_text(model)
    with RunningService(folder / "data", arguments=("--config", str(folder / "longscroll.toml"))) as running:
        yield running


def command(service: RunningService, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "longscroll", "keys", *arguments, "--data-dir", str(service.data_dir)]
    return subprocess.run(line, capture_output=True, text=True, timeout=30)


def created(service: RunningService, **wanted: Any) -> tuple[Client, str]:
    """Make a key by the service and return who calls with it, and its id."""
    reply = Client(service).request("POST", KEYS, wanted)
    assert reply.status == 200, reply.body
    return Client(service, key=reply.json["value"]), reply.json["id"]


def is_known(client: Client) -> bool:
    return client.request("GET", "/v1/models").status == 200


def waited_s(condition: Callable[[], bool], *, within_s: float) -> float:
    """Wait until something is so, and return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s
        time.sleep(0.05)
    return time.monotonic() - began


def test_the_successor_is_printed_alone_and_both_keys_open_the_service(service: RunningService) -> None:
    client, key_id = created(service, name="a laptop", scopes=["chat"])
    done = command(service, "rotate", key_id)
    assert (done.returncode, done.stderr, len(done.stdout.split())) == (0, "", 1)
    assert is_known(client)
    assert is_known(Client(service, key=done.stdout.strip()))
    assert f"{key_id}" in command(service, "list").stdout


def test_without_an_overlap_the_old_key_is_refused_in_five_seconds(service: RunningService) -> None:
    client, key_id = created(service)
    assert is_known(client)
    successor = Client(service, key=command(service, "rotate", key_id, "--overlap", "0").stdout.strip())
    waited_s(lambda: not is_known(client), within_s=REFUSED_WITHIN_S)
    assert is_known(successor)


@pytest.mark.parametrize("overlap", ["soon", "-1h", "24"])
def test_an_overlap_that_is_no_time_is_said_in_one_line(service: RunningService, overlap: str) -> None:
    done = command(service, "rotate", "key-absent", f"--overlap={overlap}")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert overlap in done.stderr


def test_a_key_that_has_ended_cannot_be_rotated_and_the_command_says_why(service: RunningService) -> None:
    _, key_id = created(service)
    command(service, "revoke", key_id)
    refusals = [command(service, "rotate", one) for one in (key_id, "key-absent")]
    assert [(done.returncode, done.stdout) for done in refusals] == [(1, ""), (1, "")]
    assert f"{key_id} is revoked or expired" in refusals[0].stderr
    assert refusals[1].stderr == "longscroll: No such key: key-absent\n"


def test_a_key_is_refused_from_the_second_it_expires_at(service: RunningService) -> None:
    client, _ = created(service, expires_in_s=2)
    assert 1.0 < waited_s(lambda: not is_known(client), within_s=4) < 3.0


def test_what_the_command_makes_may_do_all_but_administer(service: RunningService) -> None:
    plain, admin = (
        Client(service, key=command(service, "create", *scopes).stdout.strip())
        for scopes in ((), ("--scope", "admin", "--scope", "chat"))
    )
    assert [client.request("GET", KEYS).status for client in (plain, admin)] == [403, 200]
    assert plain.request("GET", "/v1/files").status == 200


def test_the_command_refuses_what_a_key_cannot_be(service: RunningService) -> None:
    for arguments in (("--scope", "root"), ("--workspace", "../up"), ("--name", "x" * 101), ("--expires", "never")):
        done = command(service, "create", *arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done


@pytest.mark.slow
def test_a_revocation_by_another_process_arrives_while_a_stream_of_the_key_runs_to_its_end(
    service: RunningService,
) -> None:
    client, key_id = created(service)
    replies: list[Reply] = []

    def listen() -> None:
        replies.append(client.chat(("user", "go on"), model="slow", stream=True))

    listening = threading.Thread(target=listen)
    listening.start()
    waited_s(lambda: is_known(client), within_s=5)
    command(service, "revoke", key_id)
    waited_s(lambda: not is_known(client), within_s=REFUSED_WITHIN_S)
    assert listening.is_alive()
    listening.join(20)
    [reply] = replies
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in reply.events) == "".join(WORDS)


def test_where_others_can_reach_it_a_service_without_a_valid_key_does_not_start(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as first:
        own = Client(first).request("GET", KEYS).json["data"][0]["id"]
        assert Client(first).request("DELETE", f"{KEYS}/{own}").json["state"] == "revoked"
        assert not is_known(Client(first))
    serve = [sys.executable, "-m", "longscroll", "serve", "--port", "0", "--data-dir", str(first.data_dir)]
    done = subprocess.run([*serve, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("longscroll: No API key is valid, so the service does not listen")
    with RunningService(first.data_dir) as again:
        assert Client(again).request("GET", "/readyz").status == 200
