"""Limits and overload over the wire: who is refused, with which words, and what it costs the others."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factories.http import Client, Reply
from factories.patience import patience
from factories.raw_chats import Surface, chat_request
from factories.running import RunningService
from factories.usage import SURFACES, ask, first_frame, recorded, told

CONFIG = """
[[model]]
name = "few"
aliases = ["few-latest"]
engine = "scripted"
script = "{script}"
[[model]]
name = "short"
aliases = ["short-latest"]
engine = "scripted"
script = "{script}"
[[model]]
name = "alone"
engine = "scripted"
script = "{script}"
[[limit]]
workspace = "default"
model = "few"
requests_per_minute = 3
[[limit]]
model = "short"
tokens_per_minute = 600
[[limit]]
model = "alone"
concurrent_requests = 1
"""
SCRIPT = """
[[rule]]
message = "long"
deltas = ["One ", "two "]
pace_s = 60
[[rule]]
deltas = ["One ", "two ", "three."]
"""
N_BURST = 100
SHED_WITHIN_S = 2.0
RPM: dict[Surface, tuple[str, str]] = {
    "compat": ("limit_requests", "You exceeded your current requests list."),
    "native": ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
}
TPM: dict[Surface, tuple[str, str]] = {
    "compat": ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details."),
    "native": (
        "Throttling.AllocationQuota",
        "Allocated quota exceeded, please increase your quota limit.",
    ),
}


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "script.toml").write_text(SCRIPT)
    (folder / "longscroll.toml").write_text(CONFIG.format(script=folder / "script.toml"))
    with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as running:
        yield running


def refusal(reply: Reply) -> tuple[str, str]:
    body: dict[str, Any] = reply.json
    error = body.get("error", body)
    return error["code"], error["message"]


def colleague(client: Client, **fields: Any) -> Client:
    made = client.request("POST", "/admin/v1/keys", {"name": "another", **fields}).json
    return Client(client.service, key=made["value"])


@pytest.mark.item(78, 80, 81, 82)
def test_keys_surfaces_and_aliases_of_a_workspace_share_a_limit_of_requests(service: RunningService) -> None:
    client = Client(service)
    other_key, other_workspace = colleague(client), colleague(client, workspace="other")
    served = [
        ask(client, "few", "go", surface="compat", is_streamed=False),
        ask(other_key, "few-latest", "go", surface="native", is_streamed=True),
        ask(client, "few-latest", "go", surface="compat", is_streamed=True),
    ]
    for surface in SURFACES:
        for is_streamed in (False, True):
            refused = ask(other_key, "few", "go", surface=surface, is_streamed=is_streamed)
            assert (refused.status, refusal(refused)) == (429, RPM[surface])
            assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert sorted(filter(None, map(told, served))) == recorded(service.data_dir)
    assert ask(other_workspace, "few", "go", surface="compat", is_streamed=False).status == 200


@pytest.mark.item(78, 80, 81)
def test_both_surfaces_and_aliases_share_a_limit_of_tokens(service: RunningService) -> None:
    client = Client(service)
    served = ask(client, "short", "go", surface="native", is_streamed=False, max_tokens=500)
    assert served.status == 200
    for surface, alias in zip(SURFACES, ("short-latest", "short"), strict=True):
        refused = ask(client, alias, "go", surface=surface, is_streamed=True, max_tokens=591)
        assert (refused.status, refusal(refused)) == (429, TPM[surface])
        assert int(refused.headers["retry-after"]) >= 1
    assert len(recorded(service.data_dir)) == 1


def test_what_is_refused_takes_nothing_of_a_limit_of_requests(service: RunningService) -> None:
    client = Client(service)
    refused = [
        ask(client, "few", "go", surface=surface, is_streamed=False, temperature=9).status for surface in 4 * SURFACES
    ]
    served = [ask(client, "few", "go", surface="compat", is_streamed=True).status for _ in range(4)]
    assert (refused, served) == ([400] * 8, [200, 200, 200, 429])


def test_a_completion_of_several_prompts_is_one_request_for_limits_and_usage(service: RunningService) -> None:
    client = Client(service)
    body = {"model": "few", "prompt": ["go", "on", "and on"]}
    replies = [client.request("POST", "/v1/completions", body) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert recorded(service.data_dir) == sorted(filter(None, map(told, replies)))


def test_a_burst_over_a_limit_of_requests_at_once_is_shed_at_once(service: RunningService) -> None:
    client = Client(service)
    with socket.create_connection(service.host_and_port) as holding, ThreadPoolExecutor(N_BURST) as crowd:
        holding.sendall(chat_request(client, "long", model="alone"))
        first_frame(holding)
        began = time.monotonic()
        burst = [
            crowd.submit(ask, client, "alone", "go", surface=SURFACES[number % 2], is_streamed=number % 3 == 0)
            for number in range(N_BURST)
        ]
        statuses = Counter(reply.result().status for reply in burst)
        took_s = time.monotonic() - began
    assert statuses == {429: N_BURST}
    assert took_s < patience(SHED_WITHIN_S)


def test_a_client_that_leaves_makes_room_for_the_next(service: RunningService) -> None:
    client = Client(service)
    with socket.create_connection(service.host_and_port) as holding:
        holding.sendall(chat_request(client, "long", model="alone"))
        first_frame(holding)
        assert ask(client, "alone", "go", surface="compat", is_streamed=False).status == 429
    end = time.monotonic() + patience(SHED_WITHIN_S)
    while (reply := ask(client, "alone", "go", surface="compat", is_streamed=False)).status == 429:
        assert time.monotonic() < end
    assert reply.status == 200
