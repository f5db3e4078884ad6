"""Conversations by unchanged openai clients: one program per version, one test per thing it says."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-2023", "openai-latest")

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(service: RunningService, client_set: str) -> Said:
    url = f"{service.url}/compatible-mode/v1"
    return results(run_program(service, client_set, PROGRAMS / "openai_chat.py", url, service.key, DOCUMENTS))


def text(completion: Any) -> str:
    return str(completion["choices"][0]["message"]["content"])


def cited(completion: Any) -> list[tuple[str, list[int]]]:
    """Return file name and pages of each citation."""
    citations = [one["file_citation"] for one in completion["choices"][0]["message"]["annotations"]]
    return [(citation["filename"], citation["pages"]) for citation in citations]


@pytest.mark.item(57)
@pytest.mark.shows("chat", "usage")
def test_a_whole_answer_has_every_field(said: Said) -> None:
    whole = said["whole"]
    choice, usage = whole["choices"][0], whole["usage"]
    assert (whole["object"], whole["model"], type(whole["created"])) == ("chat.completion", "qwen-long", int)
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "stop", "assistant")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 400  # the whole handbook is counted, however little was read


@pytest.mark.item(48)
@pytest.mark.shows("documents")
def test_the_answer_quotes_the_right_page(said: Said) -> None:
    assert "24 months" in text(said["whole"])
    assert cited(said["whole"])[0] == ("handbook.pdf", [3])


@pytest.mark.item(12, 48)
def test_a_chinese_answer_quotes_the_right_page(said: Said) -> None:
    assert "24个月" in text(said["chinese"])
    assert cited(said["chinese"])[0] == ("年度报告.pdf", [3])


@pytest.mark.item(50)
@pytest.mark.shows("streams")
def test_the_stream_adds_up_to_the_whole(said: Said) -> None:
    parts = [chunk["choices"][0]["delta"]["content"] or "" for chunk in said["streamed"]]
    assert "".join(parts) == text(said["whole"])


@pytest.mark.item(49, 51)
def test_every_chunk_has_a_choice(said: Said) -> None:
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in said["streamed"]]
    roles = [chunk["choices"][0]["delta"]["role"] for chunk in said["streamed"]]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]
    assert roles == ["assistant"] + [None] * (len(roles) - 1)


@pytest.mark.item(51)
@pytest.mark.shows("usage")
def test_the_usage_chunk_is_the_last_and_equals_the_whole(said: Said) -> None:
    *running, last = said["streamed_with_usage"]
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert last["choices"] == []
    assert [last["usage"][count] for count in counts] == [said["whole"]["usage"][count] for count in counts]
    assert all(chunk["usage"] is None for chunk in running)


@pytest.mark.item(61)
@pytest.mark.shows("documents")
def test_two_ids_in_one_message_or_two_are_the_same_documents(said: Said) -> None:
    one, two = said["two_in_one_message"], said["two_in_two_messages"]
    assert text(one) == text(two)
    assert one["usage"]["prompt_tokens"] > said["whole"]["usage"]["prompt_tokens"]
    assert cited(one) == cited(two)
    assert cited(one)[0] == ("年度报告.pdf", [3])


@pytest.mark.item(60)
def test_a_document_can_join_after_an_answer(said: Said) -> None:
    assert cited(said["appended_document"])[0] == ("年度报告.pdf", [3])


@pytest.mark.item(54)
def test_line_separators_arrive(said: Said) -> None:
    assert "07:40" in said["line_separators"]


@pytest.mark.item(10)
def test_unknown_fields_are_ignored(said: Said) -> None:
    assert "95 kroner" in text(said["unknown_fields"])


@pytest.mark.item(12)
def test_without_a_document_the_answer_says_what_to_do(said: Said) -> None:
    assert "文档" in text(said["no_document"]) or "文件" in text(said["no_document"])


@pytest.mark.item(91)
@pytest.mark.shows("models")
def test_models_are_listed_and_retrieved(said: Said) -> None:
    assert said["models"][0] == "qwen-long"
    assert (said["model"]["id"], said["model"]["object"], said["model"]["owned_by"]) == (
        "qwen-long",
        "model",
        "longscroll",
    )
