"""LangChain, unchanged: ChatTongyi on the native surface, ChatOpenAI on the compat surface."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.slow

Said = dict[str, Any]
SCRIPTED = {"text": "晴，二十一度。", "finish": "stop"}
UNKNOWN_FILE = "Invalid file [id:file-fe-00000000000000000000ffff]."


@pytest.fixture(scope="module")
def tongyi(equipped: RunningService, document_ids: tuple[str, str]) -> Said:
    return results(run_program(equipped, "frameworks", PROGRAMS / "langchain_tongyi.py", *document_ids))


@pytest.fixture(scope="module")
def compat(equipped: RunningService, document_ids: tuple[str, str]) -> Said:
    program = PROGRAMS / "langchain_for_openai.py"
    url = f"{equipped.url}/compatible-mode/v1"
    return results(run_program(equipped, "frameworks", program, url, equipped.key, *document_ids))


@pytest.mark.parametrize("client", ["tongyi", "compat"])
@pytest.mark.client("langchain-tongyi", "langchain-openai")
@pytest.mark.shows("chat", "documents")
def test_a_question_about_a_document_is_answered(client: str, request: pytest.FixtureRequest) -> None:
    said: Said = request.getfixturevalue(client)
    assert "24 months" in said["english"]["text"]
    assert "24个月" in said["chinese"]["text"]
    assert said["english"]["usage"]["input_tokens"] > 400  # the whole handbook


@pytest.mark.parametrize("client", ["tongyi", "compat"])
@pytest.mark.client("langchain-tongyi", "langchain-openai")
@pytest.mark.shows("chat", "usage")
def test_a_scripted_answer_arrives_as_it_was_written(client: str, request: pytest.FixtureRequest) -> None:
    said: Said = request.getfixturevalue(client)
    usage = said["scripted"].pop("usage")
    assert said["scripted"] == SCRIPTED
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (12, 6, 18)
    assert said["batch"] == [SCRIPTED["text"]] * 2


@pytest.mark.client("langchain-tongyi")
@pytest.mark.shows("streams")
def test_tongyi_streams_the_same_text(tongyi: Said) -> None:
    text, _, n_chunks = tongyi["english_streamed"]
    assert text == tongyi["english_streamed_async"] == tongyi["english"]["text"]
    assert n_chunks > 2
    assert tongyi["scripted_streamed"][0] == SCRIPTED["text"]
    assert tongyi["turns"]["text"] == SCRIPTED["text"]


@pytest.mark.client("langchain-openai")
@pytest.mark.shows("streams", "usage")
def test_chat_openai_streams_the_same_text_and_usage(compat: Said) -> None:
    assert compat["english_streamed"] == compat["english_streamed_async"] == compat["english"]


@pytest.mark.item(117)
@pytest.mark.client("langchain-tongyi", "langchain-openai")
@pytest.mark.shows("embeddings")
def test_texts_are_embedded_in_the_batches_of_the_client(tongyi: Said, compat: Said) -> None:
    assert tongyi["embedded"] == [[4.0, 0.5], 12]
    assert compat["embedded"] == [4.0, 0.5]


@pytest.mark.parametrize(
    ("step", "status", "code", "words"),
    [
        ("unknown_file", 400, "InvalidParameter", UNKNOWN_FILE),
        ("unknown_file_streamed", 400, "InvalidParameter", UNKNOWN_FILE),
        ("bad_key", 401, "InvalidApiKey", "Invalid API-key provided."),
        ("out_of_range", 400, "InvalidParameter", "Range of top_p should be (0.0, 1.0]"),
    ],
)
@pytest.mark.client("langchain-tongyi")
@pytest.mark.shows("errors")
def test_tongyi_raises_what_was_refused(tongyi: Said, step: str, status: int, code: str, words: str) -> None:
    kind, said = tongyi[step]
    assert kind == "ValueError"  # final for this client: it does not ask again
    assert said.endswith(f"status_code: {status} \n code: {code} \n message: {words}")


@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        ("unknown_file", 400, "invalid_parameter_error"),
        ("unknown_file_streamed", 400, "invalid_parameter_error"),
        ("bad_key", 401, "invalid_api_key"),
        ("unknown_model", 404, "model_not_found"),
        ("out_of_range", 400, "invalid_parameter_error"),
        ("limited", 429, "limit_requests"),
    ],
)
@pytest.mark.client("langchain-openai")
@pytest.mark.shows("errors")
def test_chat_openai_raises_what_was_refused(compat: Said, step: str, status: int, code: str) -> None:
    assert compat[step][1:] == [status, code]


@pytest.mark.item(79)
@pytest.mark.client("langchain-openai")
@pytest.mark.shows("retries")
def test_chat_openai_waits_until_the_limit_clears(compat: Said) -> None:
    assert compat["retried"] == SCRIPTED["text"]
    assert 1 <= compat["retried_after_s"] < 10
