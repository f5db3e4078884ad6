"""Golden exchanges over a raw socket: whole responses, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from factories.golden import FOLDER, read_golden
from factories.wire import FAST, WireService, wire_service

EXCHANGES = [
    pytest.param("native-whole-text", marks=pytest.mark.item(35, 36, 42, 43, 44)),
    pytest.param("native-whole-message", marks=pytest.mark.item(35, 36, 42, 43, 44)),
    pytest.param("native-stream-text-cumulative", marks=pytest.mark.item(29, 30, 31, 32, 33, 34)),
    pytest.param("native-stream-message-incremental", marks=pytest.mark.item(27, 30, 31, 32, 34, 35)),
    pytest.param("native-stream-cited", marks=pytest.mark.item(120)),
    pytest.param("native-stream-refused", marks=pytest.mark.item(28, 39)),
    pytest.param("native-stream-broken", marks=pytest.mark.item(40)),
    pytest.param("native-key-unknown", marks=pytest.mark.item(2, 41)),
    pytest.param("native-async", marks=pytest.mark.item(92)),
    pytest.param("native-path-unknown", marks=pytest.mark.item(94)),
    pytest.param("native-method-wrong", marks=pytest.mark.item(6)),
    pytest.param("native-upload", marks=pytest.mark.item(84, 85)),
    pytest.param("compat-whole", marks=pytest.mark.item(57)),
    pytest.param("compat-stream", marks=pytest.mark.item(49, 51, 52, 53)),
    pytest.param("compat-stream-usage", marks=pytest.mark.item(51, 52)),
    pytest.param("compat-stream-separators", marks=pytest.mark.item(54)),
    pytest.param("compat-stream-broken", marks=pytest.mark.item(56)),
    pytest.param("compat-whole-cited", marks=pytest.mark.item(120)),
    pytest.param("compat-parse-pending", marks=pytest.mark.item(58, 70)),
    pytest.param("compat-key-unknown", marks=pytest.mark.item(3, 58)),
    pytest.param("compat-json-malformed", marks=pytest.mark.item(13)),
    pytest.param("compat-method-wrong", marks=pytest.mark.item(6)),
    pytest.param("compat-upload", marks=pytest.mark.item(64, 65)),
    pytest.param("compat-purpose-unknown", marks=pytest.mark.item(68)),
    pytest.param("compat-whole-partial", marks=pytest.mark.item(120)),
    pytest.param("compat-whole-tools"),
    pytest.param("compat-stream-tools"),
    pytest.param("compat-whole-choices", marks=pytest.mark.item(96)),
    pytest.param("compat-stream-choices", marks=pytest.mark.item(96)),
    pytest.param("compat-whole-logprobs"),
    pytest.param("compat-stream-logprobs"),
    pytest.param("native-whole-tools"),
    pytest.param("native-stream-tools-incremental"),
    pytest.param("native-whole-choices", marks=pytest.mark.item(96)),
    pytest.param("native-stream-choices", marks=pytest.mark.item(96)),
    pytest.param("native-whole-logprobs"),
    pytest.param("completions-whole", marks=pytest.mark.item(115)),
    pytest.param("completions-stream", marks=pytest.mark.item(115)),
]

SILENT_EXCHANGES = [
    pytest.param("native-stream-parsing", marks=pytest.mark.item(45)),
    pytest.param("compat-stream-parsing", marks=pytest.mark.item(55)),
]
"""With a silence that one comment frame fills."""


@pytest.fixture(scope="module")
def one_heartbeat() -> Iterator[WireService]:
    with wire_service(replace(FAST, heartbeat_s=60)) as running:
        yield running


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_response_is_the_golden_one(service: WireService, name: str) -> None:
    golden = read_golden(name)
    with service.connect() as connection:
        connection.send(golden.request)
        reply = connection.receive()
    assert golden.matches(reply), reply


@pytest.mark.parametrize("name", SILENT_EXCHANGES)
def test_the_response_with_a_comment_is_the_golden_one(one_heartbeat: WireService, name: str) -> None:
    golden = read_golden(name)
    with one_heartbeat.connect() as connection:
        connection.send(golden.request)
        reply = connection.receive()
    assert golden.matches(reply), reply


def test_every_golden_file_is_run() -> None:
    run = {parameter.values[0] for parameter in (*EXCHANGES, *SILENT_EXCHANGES)}
    assert {path.stem for path in FOLDER.iterdir()} == run
