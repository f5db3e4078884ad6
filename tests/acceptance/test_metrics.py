"""What ``/metrics`` of a running service says: what clients were told, and to each workspace its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from factories.http import Client
from factories.running import RunningService

Samples = list[tuple[str, dict[str, str], float]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("metrics")
    with RunningService(folder / "data", environment={"LONGSCROLL_SERVER__WORKERS": "1"}) as running:
        yield running


def make_client(service: RunningService, workspace: str, *scopes: str) -> Client:
    """Return a client with a key of its own."""
    options = [word for scope in scopes for word in ("--scope", scope)]
    command = [sys.executable, "-m", "longscroll", "keys", "create", "--workspace", workspace, *options]
    command += ["--data-dir", str(service.data_dir)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    return Client(service, key=made.stdout.strip())


def samples(client: Client) -> Samples:
    reply = client.request("GET", "/metrics")
    assert reply.status == 200, reply.body
    families = text_string_to_metric_families(reply.body.decode())
    return [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]


def tokens(seen: Samples, workspace: str) -> dict[str, float]:
    """Return the tokens of a workspace, input and output."""
    return {
        labels["gen_ai_token_type"]: value
        for name, labels, value in seen
        if name == "gen_ai_client_token_usage_sum" and labels["workspace"] == workspace
    }


def usage_of(reply: Any) -> dict[str, float]:
    usage = reply.json["usage"]
    return {"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}


@pytest.mark.slow
def test_tokens_are_those_that_clients_were_told(service: RunningService) -> None:
    client = make_client(service, "told", "chat", "admin")
    replies = [usage_of(client.chat(("user", question))) for question in ("Who are you?", "你是谁？请介绍一下。")]
    told = {kind: sum(usage[kind] for usage in replies) for kind in ("input", "output")}
    assert tokens(samples(client), "told") == told


@pytest.mark.slow
def test_a_workspace_sees_its_own_series_and_an_operator_all(service: RunningService) -> None:
    acme, umbrella = (make_client(service, name, "chat", "files:write", "admin") for name in ("acme", "umbrella"))
    for client in (acme, umbrella):
        client.chat(("user", "Who are you?"))
        client.upload("notes.txt", b"The lamp burned for three hours.")
    assert {labels.get("workspace") for _, labels, _ in samples(acme)} == {"acme"}
    seen = samples(Client(service))
    assert {"acme", "umbrella", None} <= {labels.get("workspace") for _, labels, _ in seen}
    assert "process_resident_memory_bytes" in {name for name, _, _ in seen}


@pytest.mark.slow
def test_a_key_without_the_right_gets_no_numbers(service: RunningService) -> None:
    reply = make_client(service, "acme", "chat", "files:read").request("GET", "/metrics")
    assert (reply.status, reply.json["error"]["code"]) == (403, "access_denied")


@pytest.mark.slow
def test_processes_that_were_started_again_are_counted(service: RunningService) -> None:
    client = Client(service)
    for child in psutil.Process(service.process.pid).children(recursive=True):
        child.kill()
    client.parsed(client.upload("notes.txt", b"The lamp burned for three hours."))
    assert client.ask("How long did the lamp burn?", client.upload("more.txt", b"The lamp burned all night."))
    name = "longscroll_process_restarts_total"
    assert {labels["process"]: value for found, labels, value in samples(client) if found == name} == {
        "reader": 1,
        "parser": 1,
    }


@pytest.mark.slow
def test_files_are_told_by_workspace_and_state(service: RunningService) -> None:
    client = make_client(service, "files", "files:read", "files:write", "admin")
    data = b"The lamp burned for three hours."
    client.parsed(client.upload("notes.txt", data))
    seen = {(name, labels["status"]): value for name, labels, value in samples(client)}
    assert seen == {("longscroll_files", "processed"): 1, ("longscroll_files_bytes", "processed"): len(data)}


@pytest.mark.slow
def test_no_label_has_a_value_that_a_client_chose(service: RunningService) -> None:
    client = Client(service)
    client.chat(("user", "Who are you?"), model="Canary7f3a")
    client.request("GET", "/Canary7f3a")
    client.request("GET", "/v1/files/Canary7f3a?after=Canary7f3a", X_Canary="Canary7f3a")
    seen = samples(client)
    assert [labels for _, labels, _ in seen if "canary" in "".join(labels.values()).lower()] == []
    routes = {labels["http_route"] for _, labels, _ in seen if "http_route" in labels}
    assert {"", "/v1/files/{id}", "/compatible-mode/v1/chat/completions"} <= routes
