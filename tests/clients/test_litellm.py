"""litellm's provider `dashscope/`, unchanged, on the compat surface."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = [pytest.mark.slow, pytest.mark.client("litellm")]

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(equipped: RunningService, document_ids: tuple[str, str]) -> Said:
    program = PROGRAMS / "litellm_provider.py"
    url = f"{equipped.url}/compatible-mode/v1"
    return results(run_program(equipped, "frameworks", program, url, equipped.key, *document_ids))


@pytest.mark.shows("chat", "documents")
def test_a_question_about_a_document_is_answered(said: Said) -> None:
    assert "24 months" in said["english"]["text"]
    assert "24个月" in said["chinese"]["text"]
    assert said["english"]["finish"] == "stop"


@pytest.mark.item(120)
@pytest.mark.shows("documents")
def test_citations_asked_for_as_links_are_read(said: Said, document_ids: tuple[str, str]) -> None:
    [(title, url), *_] = said["cited"]
    assert title.endswith(".pdf")
    assert url.startswith(f"fileid://{document_ids[0]}#page=")


@pytest.mark.shows("streams", "usage")
def test_a_stream_adds_up_to_the_whole(said: Said) -> None:
    assert said["english_streamed"] == said["english_streamed_async"] == said["english"]["text"]
    assert said["streamed_usage"] == said["english"]["usage"]["prompt_tokens"]


@pytest.mark.shows("usage")
def test_usage_is_what_the_model_said(said: Said) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}
    assert said["scripted"] == {"text": "晴，二十一度。", "finish": "stop", "usage": usage}


@pytest.mark.item(117)
@pytest.mark.shows("embeddings")
def test_a_text_is_embedded(said: Said) -> None:
    assert said["embedded"] == [[4.0, 0.5], 7]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("unknown_file", ["BadRequestError", 400]),
        ("bad_key", ["AuthenticationError", 401]),
        ("unknown_model", ["NotFoundError", 404]),
    ],
)
@pytest.mark.shows("errors")
def test_an_error_is_of_the_class_for_its_status(said: Said, step: str, error: list[object]) -> None:
    assert said[step] == error
