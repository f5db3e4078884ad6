"""Embeddings, rerank, the tokenizer and tasks by unchanged clients; a model server measures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.model_server import ModelServer
from factories.running import RunningService

Said = dict[str, Any]

CONFIG = """
[[upstream]]
name = "vectors"
urls = ["{url}"]
[[model]]
name = "text-embedding-v4"
engine = "upstream"
task = "embedding"
upstream = "vectors"
[[model]]
name = "gte-rerank-v2"
engine = "upstream"
task = "rerank"
upstream = "vectors"
"""


@pytest.fixture(scope="module")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("vectors")
    with ModelServer() as server:
        (folder / "longscroll.toml").write_text(CONFIG.format(url=server.url))
        with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as running:
            yield running


@pytest.fixture(scope="module")
def openai_said(measuring: RunningService, client_set: str) -> Said:
    base_url = f"{measuring.url}/compatible-mode/v1"
    return results(run_program(measuring, client_set, PROGRAMS / "openai_embeddings.py", base_url, measuring.key))


@pytest.fixture(scope="module")
def said(measuring: RunningService, client_set: str) -> Said:
    base_url = f"{measuring.url}/api/v1"
    return results(run_program(measuring, client_set, PROGRAMS / "dashscope_vectors.py", base_url, measuring.key))


@pytest.mark.item(117)
@pytest.mark.client("openai-2023", "openai-latest")
@pytest.mark.shows("embeddings")
def test_openai_gets_vectors_in_every_encoding(openai_said: Said) -> None:
    assert openai_said["several"] == [[[2.0, 0.5], [4.0, 0.5]], 7]
    assert openai_said["one"] == [[[2.0, 0.5]], 7]
    assert openai_said["float"][0] == [openai_said["base64"]] == [[2.0, 0.5]]


@pytest.mark.item(117)
@pytest.mark.client("openai-2023", "openai-latest")
@pytest.mark.shows("errors")
def test_openai_is_told_how_many_texts_there_may_be(openai_said: Said) -> None:
    words = "Value error, batch size is invalid, it should not be larger than 10.: input.contents"
    assert openai_said["too_many"] == [400, words]


@pytest.mark.item(117)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("embeddings")
def test_dashscope_gets_vectors(said: Said) -> None:
    several = said["several"]
    vectors = [{"text_index": 0, "embedding": [2.0, 0.5]}, {"text_index": 1, "embedding": [4.0, 0.5]}]
    assert (several["status_code"], several["output"]["embeddings"]) == (200, vectors)
    assert several["usage"]["total_tokens"] == 7
    assert said["one"]["output"]["embeddings"][0]["embedding"] == [2.0, 0.5]
    assert (said["too_many"]["status_code"], said["too_many"]["code"]) == (400, "InvalidParameter")


@pytest.mark.item(117)
@pytest.mark.client("dashscope-latest")
@pytest.mark.shows("embeddings")
def test_dashscope_gets_the_best_documents(said: Said, client_set: str) -> None:
    if client_set == "2023":
        assert "ranked" not in said  # dashscope 1.13.6 has no such call
        return
    results = [
        {"index": 1, "relevance_score": 0.5, "document": {"text": "春天来了"}},
        {"index": 0, "relevance_score": 0.25, "document": {"text": "冬天很冷"}},
    ]
    assert (said["ranked"]["status_code"], said["ranked"]["output"]) == (200, {"results": results})
    assert said["client"] == [[2.0, 0.5], [1, 0, 2], [46100, 101933, 99489]]


@pytest.mark.item(88)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("usage")
def test_dashscope_gets_tokens(said: Said) -> None:
    output = {"token_ids": [46100, 101933, 99489], "tokens": ["代码", "改变", "世界"]}
    assert (said["tokens"]["output"], said["tokens"]["usage"]["input_tokens"]) == (output, 3)
    assert said["messages"]["output"]["token_ids"] == [46100]
    assert (said["unknown"]["status_code"], said["unknown"]["code"]) == (404, "ModelNotFound")


@pytest.mark.item(93)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
def test_a_wait_for_a_task_returns(said: Said) -> None:
    waited, canceled, listed = said["waited"], said["canceled"], said["listed"]
    assert (waited["status_code"], waited["output"]["task_status"]) == (200, "UNKNOWN")
    assert (canceled["status_code"], canceled["code"]) == (400, "UnsupportedOperation")
    assert (listed["status_code"], listed["output"]["data"]) == (200, [])


@pytest.mark.item(94)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("errors")
def test_a_service_that_is_not_here_has_the_code_of_one(said: Said) -> None:
    pictures = said["pictures"]
    assert (pictures["status_code"], pictures["code"], pictures["message"]) == (404, "NotFound", "Not found!")
