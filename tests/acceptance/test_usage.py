"""Usage as clients are told it and as the rows have it: equal, once for each request, whatever is killed."""

from __future__ import annotations

import json
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client
from factories.raw_chats import Surface, chat_request
from factories.running import RunningService, crashing_at
from factories.usage import SCRIPT, SURFACES, Ledger, ask, first_frame, recorded, told
from longscroll.telemetry import Moment

BEES = "The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
COMPLETIONS = "/compatible-mode/v1/completions"
N_CLIENTS = 8
N_KILLS = 6
REFUSED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("scripted", "refuse", {}),
    ("absent", "count", {}),
    ("scripted", "count", {"temperature": 99}),
)
WAYS = [(surface, is_streamed) for surface in SURFACES for is_streamed in (False, True)]


def configured(folder: Path) -> list[str]:
    script, config = folder / "usage.toml", folder / "longscroll.toml"
    script.write_text(SCRIPT)
    config.write_text(f'[[model]]\nname = "scripted"\nengine = "scripted"\nscript = "{script}"\n')
    return ["--config", str(config)]


def wait_until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"not so within {within_s} s"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("usage")
    with RunningService(folder / "data", arguments=configured(folder)) as running:
        yield running


def usage(client: Client, query: str = "") -> dict[str, Any]:
    reply = client.request("GET", f"/admin/v1/usage{query}")
    assert reply.status == 200, reply.body
    body: dict[str, Any] = reply.json
    return body


def listed(client: Client) -> dict[str, dict[str, Any]]:
    return {row["request_id"]: row for row in usage(client, "/requests")["data"]}


@pytest.mark.item(82)
@pytest.mark.parametrize(("surface", "is_streamed"), WAYS)
def test_the_row_equals_what_the_client_was_told(service: RunningService, surface: Surface, is_streamed: bool) -> None:
    client = Client(service)
    said = told(ask(client, "scripted", "count", surface=surface, is_streamed=is_streamed))
    assert said is not None
    row = listed(client)[said.request_id]
    assert (row["input_tokens"], row["output_tokens"]) == (said.n_input, said.n_output)
    assert (row["cached_tokens"], row["read_tokens"]) == (said.n_cached, said.n_read)
    assert (row["stream"], row["outcome"], row["operation"]) == (is_streamed, "ok", "chat")
    assert row["surface"] == {"compat": "openai", "native": "dashscope"}[surface]
    assert 0 < row["first_token_ms"] <= row["total_ms"]


@pytest.mark.item(81)
@pytest.mark.parametrize(("surface", "is_streamed"), WAYS)
def test_a_refused_request_has_no_row(service: RunningService, surface: Surface, is_streamed: bool) -> None:
    client = Client(service)
    before = usage(client)["total"]
    statuses = [
        ask(client, model, question, surface=surface, is_streamed=is_streamed, **fields).status
        for model, question, fields in REFUSED
    ]
    assert statuses == [503, 404, 400]
    assert usage(client)["total"] == before


@pytest.mark.item(82)
def test_a_client_that_leaves_a_stream_leaves_a_row_of_the_last_frame_it_was_told(service: RunningService) -> None:
    client = Client(service)
    with socket.create_connection(service.host_and_port) as connection:
        connection.sendall(chat_request(client, "pause", surface="native", model="scripted"))
        frame = first_frame(connection)
    wait_until(lambda: frame["request_id"] in listed(client))
    row = listed(client)[frame["request_id"]]
    assert (row["outcome"], row["code"]) == ("cancelled", None)
    said = frame["usage"]
    assert (row["input_tokens"], row["output_tokens"]) == (said["input_tokens"], said["output_tokens"])


def test_a_stream_that_the_end_of_the_service_cuts_off_leaves_a_row(tmp_path: Path) -> None:
    arguments, hasty = configured(tmp_path), {"LONGSCROLL_SERVER__DRAIN_S": "0.1"}
    with (
        RunningService(tmp_path / "data", arguments=arguments, environment=hasty) as service,
        socket.create_connection(service.host_and_port) as connection,
    ):
        connection.sendall(chat_request(Client(service), "pause", surface="native", model="scripted"))
        frame = first_frame(connection)
        assert service.stop() == 0
    [row] = recorded(service.data_dir, outcome="cancelled")
    assert (row.request_id, row.n_output) == (frame["request_id"], frame["usage"]["output_tokens"])


@pytest.mark.item(82, 115)
def test_a_completion_of_several_prompts_has_one_row_with_what_its_client_was_told(service: RunningService) -> None:
    client = Client(service)
    before = usage(client)["total"]["requests"]
    body = {"model": "scripted", "prompt": ["count", "count on"]}
    said = told(client.request("POST", COMPLETIONS, body))
    assert said is not None
    row = listed(client)[said.request_id]
    assert (row["operation"], row["outcome"]) == ("completion", "ok")
    assert (row["input_tokens"], row["output_tokens"]) == (said.n_input, said.n_output)
    assert usage(client)["total"]["requests"] == before + 1


@pytest.mark.item(81, 115)
def test_a_whole_completion_whose_last_prompt_fails_has_no_row(service: RunningService) -> None:
    client = Client(service)
    before = usage(client)["total"]
    body = {"model": "scripted", "prompt": ["count", "count on", "refuse"]}
    assert client.request("POST", COMPLETIONS, body).status == 503
    assert usage(client)["total"] == before


@pytest.mark.item(82, 90)
def test_a_question_about_a_file_names_it_and_bills_the_whole_of_it(service: RunningService) -> None:
    client = Client(service)
    file_id = client.upload("lighthouse.txt", BEES.encode())
    client.parsed(file_id)
    reply = client.chat(("system", f"fileid://{file_id}"), ("user", "Who kept bees?"))
    row, said = listed(client)[reply.headers["x-request-id"]], told(reply)
    assert said is not None
    assert (row["file_ids"], row["input_tokens"], row["read_tokens"]) == ([file_id], said.n_input, said.n_read)
    assert said.n_read > 0


def test_the_command_prints_what_the_interface_says(service: RunningService) -> None:
    client = Client(service)
    ask(client, "scripted", "count", surface="compat", is_streamed=False)
    options = ("--by", "key", "--since", "1h", "--data-dir", str(service.data_dir))
    command = [sys.executable, "-m", "longscroll", "usage", *options]
    printed = subprocess.run([*command, "--json"], capture_output=True, check=True, text=True).stdout
    table = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    groups = usage(client, "?by=key")["data"]
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [(line["name"], line["n_requests"], line["n_input"]) for line in lines] == [
        (group["name"], group["requests"], group["input_tokens"]) for group in groups
    ]
    names = [group["name"] for group in groups]
    assert [row.split()[0] for row in table.splitlines()] == ["key", *names, "total"]


def test_a_workspace_sees_its_own_usage_and_the_operator_all(service: RunningService) -> None:
    operator = Client(service)
    made = operator.request("POST", "/admin/v1/keys", {"workspace": "other", "scopes": ["chat", "admin"]}).json
    other = Client(service, key=made["value"])
    for client in (operator, other):
        ask(client, "scripted", "count", surface="native", is_streamed=True)
    [own] = usage(other, "?by=workspace")["data"]
    assert (own["name"], own["requests"]) == ("other", 1)
    assert [row["workspace"] for row in usage(other, "/requests")["data"]] == ["other"]
    assert {group["name"] for group in usage(operator, "?by=workspace")["data"]} == {"default", "other"}
    refusals = [
        other.request("GET", f"/admin/v1/usage?workspace={name}").json["error"] for name in ("default", "nobody")
    ]
    assert refusals[0] == refusals[1]
    assert refusals[0]["code"] == "Workspace.AccessDenied"


@pytest.mark.parametrize(("query", "param"), [("?by=colour", "by"), ("?since=soon", "since"), ("?until=7x", "until")])
def test_a_question_that_cannot_be_understood_is_refused(service: RunningService, query: str, param: str) -> None:
    reply = Client(service).request("GET", f"/admin/v1/usage{query}")
    assert (reply.status, reply.json["error"]["param"]) == (400, param)


@pytest.mark.item(82)
def test_a_kill_between_the_row_and_the_reply_leaves_the_row(tmp_path: Path) -> None:
    arguments = configured(tmp_path)
    dying = RunningService(tmp_path / "data", arguments=arguments, program=crashing_at(Moment.USAGE_RECORDED, 2))
    first = told(ask(Client(dying), "scripted", "count", surface="compat", is_streamed=False))
    second = ask(Client(dying), "scripted", "count", surface="native", is_streamed=True)
    assert dying.wait(10) == -signal.SIGKILL
    assert told(second) is None
    rows = recorded(tmp_path / "data")
    assert first in rows
    assert {row.request_id for row in rows if row != first} == {second.headers["x-request-id"]}


@pytest.mark.slow
@pytest.mark.item(81, 82)
def test_every_usage_that_was_told_has_one_equal_row_whatever_is_killed(tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    chance, ledger, arguments = random.Random(seed), Ledger(), configured(tmp_path)
    with ThreadPoolExecutor(N_CLIENTS) as crowd:
        asking = [crowd.submit(ledger.keep_asking, seed + number) for number in range(N_CLIENTS)]
        for _ in range(N_KILLS):
            ledger.service = service = RunningService(tmp_path / "data", arguments=arguments)
            ledger.stopped.wait(chance.uniform(0.3, 1.5))
            service.kill()
            ledger.service = None
        ledger.stopped.set()
        for client in asking:
            client.result()
    rows = recorded(tmp_path / "data")
    sys.stdout.write(f"\nseed {seed}: {len(ledger.told)} told, {len(rows)} rows, {ledger.n_cut} cut off\n")
    untold = set(rows) - set(ledger.told)
    assert set(ledger.told) - set(rows) == set()
    assert len(untold) <= N_KILLS * N_CLIENTS
    broken = {row.request_id for row in recorded(tmp_path / "data", outcome="failed")}
    assert ledger.failed - broken == set()
    assert len(broken - ledger.failed) <= N_KILLS * N_CLIENTS
    assert ledger.refused & ({row.request_id for row in rows} | broken) == set()
    assert len(ledger.told) > N_KILLS * N_CLIENTS
