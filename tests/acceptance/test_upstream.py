"""The whole service with a real model server behind it: llama-server on a small random checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from factories.http import Client
from factories.llama_server import ALL_TOKENS, LlamaServer, llama_server
from factories.running import RunningService

HANDBOOK = Path(__file__).parents[1] / "documents" / "handbook.pdf"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("model"), n_tokens=ALL_TOKENS) as server:
        yield server


@pytest.fixture
def service(model_server: LlamaServer, tmp_path: Path) -> Iterator[RunningService]:
    arguments = ["--upstream", model_server.url, "--upstream-model", model_server.model]
    with RunningService(tmp_path / "data", arguments=arguments) as running:
        yield running


def test_one_flag_lets_a_model_server_write_the_answer(service: RunningService, model_server: LlamaServer) -> None:
    client = Client(service)
    file_id = client.upload("handbook.pdf", HANDBOOK.read_bytes())
    client.parsed(file_id)
    references, question = ("system", f"fileid://{file_id}"), ("user", "How long is the warranty on the motor?")
    reply = client.chat(references, question, max_tokens=8, longscroll={"report": True})
    assert reply.status == 200, reply.body
    report = reply.json["longscroll"]
    assert (report["plan"], report["model_served"], report["tokens_not_read"]) == ("whole", model_server.model, 0)
    assert reply.json["usage"]["completion_tokens"] > 0
    assert report["engine_usage"]["input_tokens"] > report["tokens_read"]


def test_the_second_question_on_a_document_finds_its_prefix_cached(service: RunningService) -> None:
    client = Client(service)
    file_id = client.upload("handbook.pdf", HANDBOOK.read_bytes())
    client.parsed(file_id)
    for question in ("How long is the warranty?", "What does E17 mean?"):
        reply = client.chat(("system", f"fileid://{file_id}"), ("user", question), max_tokens=4)
    assert reply.json["usage"]["prompt_tokens_details"]["cached_tokens"] > 400


def test_a_document_longer_than_the_window_is_read_in_passages(
    service: RunningService, model_server: LlamaServer
) -> None:
    client = Client(service)
    filler = "".join(f"Entry {n}: the weather at the harbor was noted and filed.\n\n" for n in range(3000))
    file_id = client.upload("log.txt", (filler + "The lamp of Quarrel Point was lit in 1871.\n").encode())
    client.parsed(file_id)
    reply = client.chat(
        ("system", f"fileid://{file_id}"),
        ("user", "When was the lamp of Quarrel Point lit?"),
        max_tokens=4,
        longscroll={"report": True},
    )
    assert reply.status == 200, reply.body
    report = reply.json["longscroll"]
    assert report["plan"] == "lookup"
    assert report["engine_usage"]["input_tokens"] < model_server.context_window
    assert report["tokens_not_read"] > 20_000


def test_a_stream_from_the_model_server_ends_as_documented(service: RunningService) -> None:
    reply = Client(service).chat(("user", "Hello"), max_tokens=4, stream=True)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert reply.events[-1]["choices"][0]["finish_reason"] in ("length", "stop")


def test_a_model_server_that_is_away_is_a_503_that_says_so(tmp_path: Path) -> None:
    arguments = ["--upstream", "http://127.0.0.1:9/v1", "--upstream-model", "m"]
    with RunningService(tmp_path / "data", arguments=arguments) as running:
        reply = Client(running).chat(("user", "Hello"))
    assert (reply.status, reply.json["error"]["code"]) == (503, "model_unavailable")
    assert reply.json["error"]["message"].startswith("Model is unavailable, please try again later.")
    assert int(reply.headers["retry-after"]) >= 1
