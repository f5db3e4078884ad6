"""The openai client for Node, unchanged: one program, one test per thing it says."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, NODE_PROGRAMS, results, run_node
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-node")

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(equipped: RunningService) -> Said:
    program = NODE_PROGRAMS / "conversation.cjs"
    url = f"{equipped.url}/compatible-mode/v1"
    return results(run_node(equipped, program, url, equipped.key, DOCUMENTS))


def text(completion: Any) -> str:
    return str(completion["choices"][0]["message"]["content"])


def parts(chunks: Any) -> list[str]:
    return [chunk["choices"][0]["delta"]["content"] for chunk in chunks]


@pytest.mark.item(12, 64, 65, 69)
@pytest.mark.shows("files")
def test_an_upload_is_processed_under_its_own_name(said: Said) -> None:
    parsed = said["parsed"]
    assert (parsed["id"], parsed["filename"], parsed["status"]) == (said["uploaded"]["id"], "年度报告.pdf", "processed")
    assert "自助借还机的保修期为24个月" in said["content"]


@pytest.mark.item(66, 67)
def test_paging_ends_and_a_deletion_is_final(said: Said) -> None:
    deleted_id = said["deleted"]["id"]
    assert said["deleted"] == {"id": deleted_id, "object": "file", "deleted": True}
    assert said["listed"][:2] == [deleted_id, said["uploaded"]["id"]]
    assert len(set(said["listed"])) == len(said["listed"])


@pytest.mark.item(48, 57)
@pytest.mark.shows("chat", "documents")
def test_a_question_about_a_document_is_answered(said: Said) -> None:
    assert "24 months" in text(said["whole"])
    assert "24个月" in text(said["chinese"])
    assert (said["whole"]["object"], said["whole"]["model"]) == ("chat.completion", "qwen-long")


@pytest.mark.item(49, 50, 51)
@pytest.mark.shows("streams")
def test_a_stream_adds_up_to_the_whole(said: Said) -> None:
    *chunks, last = said["streamed"]
    assert "".join(parts(chunks)) == text(said["whole"])
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0]["finish_reason"] == "stop"


@pytest.mark.item(51)
@pytest.mark.shows("usage")
def test_usage_comes_once_and_last(said: Said) -> None:
    *chunks, last = said["streamed_with_usage"]
    assert "".join(parts(chunks)) == text(said["chinese"])
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], said["chinese"]["usage"]["prompt_tokens"])
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)


@pytest.mark.shows("streams")
def test_the_streaming_helper_sees_a_whole_completion(said: Said) -> None:
    assert said["by_helper"] == "晴，二十一度。"


@pytest.mark.item(91, 117)
@pytest.mark.shows("models", "embeddings")
def test_models_are_listed_and_one_embeds(said: Said) -> None:
    assert {"qwen-long", "text-embedding-v4"} <= set(said["models"])
    assert (said["model"]["id"], said["embedded"]) == ("qwen-long", [4, 0.5])


@pytest.mark.item(3, 26, 58, 66, 68, 71, 78)
@pytest.mark.parametrize(
    ("step", "kind", "status", "code"),
    [
        ("bad_key", "AuthenticationError", 401, "invalid_api_key"),
        ("unknown_model", "NotFoundError", 404, "model_not_found"),
        ("unknown_model_streamed", "NotFoundError", 404, "model_not_found"),
        ("out_of_range", "BadRequestError", 400, "invalid_parameter_error"),
        ("unknown_file", "BadRequestError", 400, "invalid_parameter_error"),
        ("missing_file", "NotFoundError", 404, "file_not_found"),
        ("wrong_purpose", "BadRequestError", 400, "invalid_parameter_error"),
        ("limited", "RateLimitError", 429, "limit_requests"),
    ],
)
@pytest.mark.shows("errors")
def test_an_error_is_of_the_class_for_its_status(said: Said, step: str, kind: str, status: int, code: str) -> None:
    error = said[step]
    assert (error["class"], error["status"], error["code"], error["has_id"]) == (kind, status, code, True)


@pytest.mark.item(79)
@pytest.mark.shows("retries")
def test_a_limited_request_is_asked_again_in_time(said: Said) -> None:
    assert said["retried"] == "晴，二十一度。"
