"""The two switches that make the service as strict as the hosted one of 2026."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from factories.http import Client
from factories.running import RunningService

CONFIG = """
[compat]
inline_limit_tokens = 9000
parse_wait_s = 0
[[model]]
name = "scripted"
engine = "scripted"
script = "{script}"
"""
SCRIPT = """
[[file]]
name = "*.txt"
stuck = true
[[rule]]
deltas = ["done"]
"""
GENERATION = "/api/v1/services/aigc/text-generation/generation"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("strict")
    (folder / "script.toml").write_text(SCRIPT)
    (folder / "longscroll.toml").write_text(CONFIG.format(script=folder / "script.toml"))
    with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as running:
        yield Client(running)


def told(client: Client, document: str, *, is_native: bool) -> tuple[int, str, str]:
    """Ask about a document and return status, code and message, or the answer."""
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": document},
        {"role": "user", "content": "What is it?"},
    ]
    if is_native:
        reply = client.request("POST", GENERATION, {"model": "scripted", "input": {"messages": turns}})
        error = reply.json
    else:
        reply = client.request("POST", "/v1/chat/completions", {"model": "scripted", "messages": turns})
        error = reply.json.get("error", {})
    return reply.status, error.get("code", ""), error.get("message", "")


@pytest.mark.item(108)
@pytest.mark.parametrize(("is_native", "code"), [(True, "InvalidParameter"), (False, "invalid_parameter_error")])
def test_both_switches_are_as_strict_as_the_hosted_service(client: Client, is_native: bool, code: str) -> None:
    pending = client.upload("pending.txt", b"hello")
    long = told(client, "word " * 9_001, is_native=is_native)
    waiting = told(client, f"fileid://{pending}", is_native=is_native)
    assert long == (400, code, "Range of input length should be [1, 9000]")
    assert waiting == (400, code, "File parsing in progress, please try again later.")
    assert told(client, "word " * 8_000, is_native=is_native)[0] == 200
