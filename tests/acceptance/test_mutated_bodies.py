"""Ten thousand bodies that are nearly right: each gets an answer below 500, and the service is as it was."""

from __future__ import annotations

import http.client
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from factories.mutations import mutated_body, mutated_form, with_every_value
from factories.routes import all_routes
from factories.running import RunningService
from longscroll.protocols.exchange import Form

pytestmark = pytest.mark.slow

N_BODIES = 10_000
MAX_GROWTH = 0.05

SCRIPT = """
[[rule]]
deltas = ["It opened ", "in 1911."]
"""
CONFIG = """
[[model]]
name = "scripted"
engine = "scripted"
script = "{script}"
"""
DOCUMENT_CHAT: dict[str, Any] = {
    "model": "qwen-long",
    "messages": [
        {"role": "system", "content": "You are helpful."},
        {"role": "system", "content": "The bridge opened in 1911. 桥于1911年开放。"},
        {"role": "user", "content": "何时开放？"},
    ],
    "max_tokens": 16,
    "seed": 1,
    "stop": "a",
    "longscroll": {"citations": "urls", "report": True, "partial": True},
}
CHAT: dict[str, Any] = {
    "model": "scripted",
    "messages": [
        {"role": "system", "content": "You are helpful."},
        {"role": "system", "content": "The bridge opened in 1911. 桥于1911年开放。"},
        {"role": "user", "content": [{"type": "text", "text": "When did it open?"}], "name": "a"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}],
        },
        {"role": "tool", "content": "1911", "tool_call_id": "c"},
        {"role": "user", "content": "何时开放？"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 20,
    "max_tokens": 16,
    "n": 1,
    "seed": 1,
    "stop": ["a", "b"],
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "text"},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "longscroll": {"citations": "marks", "report": True},
}
GENERATION: dict[str, Any] = {
    "model": "scripted",
    "input": {
        "prompt": "何时？",
        "messages": [{"role": "user", "content": "When?"}],
        "history": [{"user": "a", "bot": "b"}],
    },
    "parameters": {
        "result_format": "message",
        "incremental_output": True,
        "temperature": 0.5,
        "max_tokens": 16,
        "stop": [[1, 2]],
        "n": 2,
        "seed": 1,
        "enable_thinking": False,
    },
}
SEEDS: dict[str, Any] = {
    "/chat/completions": CHAT,
    "/v1/chat/completions": DOCUMENT_CHAT,
    "/completions": {"model": "scripted", "prompt": ["When?"], "stream": False, "max_tokens": 5, "echo": False},
    "/embeddings": {"model": "qwen-long", "input": ["a", "b"], "dimensions": 8, "encoding_format": "float"},
    "/rerank": {"model": "qwen-long", "query": "a", "documents": ["b"], "top_n": 1},
    "/batches": {
        "input_file_id": "file-batch-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"ds_name": "a"},
    },
    "/cancel": {},
    "generation": GENERATION,
    "/tokenizer": {"model": "qwen-long", "input": {"prompt": "代码", "messages": [{"role": "user", "content": "a"}]}},
    "/text-embedding": {"model": "qwen-long", "input": {"texts": ["a"]}, "parameters": {"dimension": 8}},
    "/text-rerank": {"model": "qwen-long", "input": {"query": "a", "documents": ["b"]}, "parameters": {"top_n": 1}},
    "/keys": {"name": "mutated", "scopes": ["chat"], "models": ["qwen-long"], "expires_in_s": 60},
    "/rotate": {"overlap_s": 1},
}
"""A good body for the longest end of each path."""
ANSWERED = ("/chat/completions", "/completions", "generation", "/tokenizer", "/keys")
"""Ends of paths whose good body is answered here; the others name what is not there."""
FORMS: dict[str, tuple[str | None, bytes]] = {
    "purpose": (None, b"file-extract"),
    "file": ("report.txt", b"The bridge opened in 1911."),
    "files": ("年报.txt", "桥于1911年开放。".encode()),
    "descriptions": (None, b"a report"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("mutated")
    script, config = folder / "script.toml", folder / "longscroll.toml"
    script.write_text(SCRIPT)
    config.write_text(CONFIG.format(script=script))
    with RunningService(folder / "data", arguments=["--config", str(config)]) as running:
        yield running


def targets() -> list[tuple[str, Any]]:
    """Return the path of every route with a body, and its seed."""
    found: list[tuple[str, Any]] = []
    for route in all_routes():
        path = route.path.replace("{id}", "mutated").replace("{name...}", "mutated")
        if route.request is Form:
            found.append((path, FORMS))
        elif route.request is not None:
            ends = [end for end in sorted(SEEDS, key=len, reverse=True) if path.endswith(end)]
            assert ends, f"no seed for {route.method} {path}"
            found.append((path, SEEDS[ends[0]]))
    return found


def send(connection: http.client.HTTPConnection, path: str, body: bytes, kind: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    for _ in range(2):  # a kept connection may have been closed after a refusal
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
        except (http.client.RemoteDisconnected, ConnectionError, http.client.CannotSendRequest):
            connection.close()
        else:
            return response.status
    raise AssertionError(f"no reply to {path} {body[:200]!r}")


def send_round(service: RunningService, rng: random.Random, n_bodies: int) -> Counter[int]:
    statuses: Counter[int] = Counter()
    connection, to = http.client.HTTPConnection(*service.host_and_port, timeout=60), targets()
    for _ in range(n_bodies):
        path, seed = rng.choices(to, [5 if path.endswith(ANSWERED) else 1 for path, _ in to])[0]
        body, kind = mutated_form(rng, seed) if seed is FORMS else (mutated_body(rng, seed), "application/json")
        status = send(connection, path, body, kind, service.key)
        statuses[status] += 1
        assert status < 500 or status == 503, (status, path, body[:2000])
    connection.close()
    return statuses


@pytest.mark.parametrize("path", [path for path, _ in targets() if path.endswith(ANSWERED)])
def test_a_body_is_answered_before_it_is_mutated(service: RunningService, path: str) -> None:
    connection = http.client.HTTPConnection(*service.host_and_port, timeout=60)
    body = json.dumps(dict(targets())[path]).encode()
    assert send(connection, path, body, "application/json", service.key) == 200
    connection.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", [path for path, seed in targets() if seed is not FORMS])
def test_no_field_has_a_value_that_brings_a_500(service: RunningService, path: str) -> None:
    connection = http.client.HTTPConnection(*service.host_and_port, timeout=60)
    for body in with_every_value(dict(targets())[path]):
        status = send(connection, path, body, "application/json", service.key)
        assert status < 500 or status == 503, (status, body[:2000])
    connection.close()


def family(service: RunningService) -> dict[int, float]:
    """Return resident bytes by process; forked parsers come and go and are left out."""
    api = psutil.Process(service.process.pid)
    return {one.pid: one.memory_info().rss for one in (api, *api.children())}


@pytest.mark.timeout(600)
def test_no_mutated_body_brings_a_500_or_a_death_or_memory_that_stays(service: RunningService, tmp_path: Path) -> None:
    rng = random.Random(20261121)
    send_round(service, rng, N_BODIES // 4)  # what the first ones of each kind load and fill stays
    before = family(service)
    statuses = send_round(service, rng, N_BODIES)
    time.sleep(1)
    after = family(service)
    growth = after[service.process.pid] / before[service.process.pid] - 1
    sys.stdout.write(f"\n{N_BODIES} mutated bodies: {dict(statuses)}; memory of the service {growth:+.1%}\n")
    assert after.keys() == before.keys()
    assert growth <= MAX_GROWTH
    assert statuses[200] > N_BODIES // 20
    assert statuses[400] > N_BODIES // 4
