"""LlamaIndex, unchanged: its DashScope on the native surface, its OpenAILike on the compat surface."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.slow

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(equipped: RunningService, document_ids: tuple[str, str]) -> Said:
    program = PROGRAMS / "llama_index_models.py"
    url = f"{equipped.url}/compatible-mode/v1"
    return results(run_program(equipped, "frameworks", program, url, equipped.key, *document_ids))


@pytest.mark.parametrize("surface", ["native", "compat"])
@pytest.mark.client("llama-index-dashscope", "llama-index-openai-like")
@pytest.mark.shows("chat", "documents")
def test_a_question_about_a_document_is_answered(said: Said, surface: str) -> None:
    assert "24 months" in said[f"{surface}_english"]
    assert "24个月" in said[f"{surface}_chinese"]


@pytest.mark.parametrize("surface", ["native", "compat"])
@pytest.mark.client("llama-index-dashscope", "llama-index-openai-like")
@pytest.mark.shows("streams")
def test_a_stream_adds_up_to_the_whole(said: Said, surface: str) -> None:
    whole = said[f"{surface}_english"]
    assert (said[f"{surface}_streamed"], said[f"{surface}_streamed_last"]) == (whole, whole)


@pytest.mark.parametrize("surface", ["native", "compat"])
@pytest.mark.client("llama-index-dashscope", "llama-index-openai-like")
@pytest.mark.shows("chat")
def test_a_completion_is_a_chat_of_one_message(said: Said, surface: str) -> None:
    assert said[f"{surface}_completed"] == "晴，二十一度。"


@pytest.mark.client("llama-index-dashscope", "llama-index-openai-like")
@pytest.mark.shows("errors")
def test_a_refusal_keeps_its_status_and_code(said: Said) -> None:
    assert said["native_refused"] == [404, "ModelNotFound", "Model can not be found."]
    assert said["compat_refused"] == ["NotFoundError", 404, "model_not_found"]
