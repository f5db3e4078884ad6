"""The native surface by unchanged dashscope clients: the 1.x calls of both versions, and the newer ones of 2.x."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("dashscope-2023", "dashscope-latest")

Said = dict[str, Any]
UNKNOWN_FILE = "Invalid file [id:file-fe-00000000000000000000ffff]."


@pytest.fixture(scope="module")
def said(service: RunningService, client_set: str, handbook_id: str) -> Said:
    program = PROGRAMS / "dashscope_generation.py"
    return results(run_program(service, client_set, program, f"{service.url}/api/v1", service.key, handbook_id))


@pytest.fixture(scope="module")
def files(service: RunningService, client_set: str) -> Said:
    return results(run_program(service, client_set, PROGRAMS / "dashscope_files.py", DOCUMENTS))


def content(response: Any) -> str:
    """Return the answer, whichever form it has."""
    output = response["output"]
    return str(output["text"] or output["choices"][0]["message"]["content"])


@pytest.mark.item(18, 42)
@pytest.mark.parametrize("step", ["prompt", "default_format", "as_text", "as_message", "history", "unknown_parameters"])
@pytest.mark.shows("chat", "usage")
def test_a_success_is_200_without_a_code(said: Said, step: str) -> None:
    response = said[step]
    assert (response["status_code"], response["code"] or "", response["message"] or "") == (200, "", "")
    assert response["usage"]["input_tokens"] > 0
    assert response["usage"]["output_tokens"] > 0


@pytest.mark.item(35, 36)
def test_the_format_is_message_unless_text_is_asked_for(said: Said) -> None:
    [whole, as_text, as_message] = [said[step]["output"] for step in ("default_format", "as_text", "as_message")]
    assert whole == as_message
    assert (as_text["choices"], as_message["text"]) == (None, None)
    assert as_text["text"] == as_message["choices"][0]["message"]["content"]
    assert "24 months" in as_text["text"]


@pytest.mark.item(37)
def test_a_prompt_beside_messages_is_the_last_turn(said: Said) -> None:
    assert content(said["prompt_and_messages"]) == content(said["as_text"])


@pytest.mark.item(38)
def test_history_is_accepted(said: Said) -> None:
    assert content(said["history"])


@pytest.mark.item(34)
@pytest.mark.shows("streams")
def test_streams_hold_the_same_text_in_both_modes(said: Said) -> None:
    parts = "".join(frame["output"]["text"] for frame in said["incremental_text"])
    messages = [frame["output"]["choices"][0]["message"]["content"] for frame in said["incremental_message"]]
    assert parts == said["cumulative_text"][-1]["output"]["text"] == content(said["as_text"])
    assert "".join(messages) == content(said["as_message"])


@pytest.mark.item(32, 33)
@pytest.mark.shows("streams", "usage")
def test_frames_say_null_until_the_end_and_usage_grows(said: Said) -> None:
    frames = said["incremental_text"]
    outputs = [frame["usage"]["output_tokens"] for frame in frames]
    assert [frame["output"]["finish_reason"] for frame in frames] == ["null"] * (len(frames) - 1) + ["stop"]
    assert outputs == sorted(outputs)
    assert outputs[-1] == said["as_text"]["usage"]["output_tokens"]


@pytest.mark.item(2, 26, 39, 41, 71)
@pytest.mark.parametrize(
    ("step", "status", "code", "words"),
    [
        ("bad_key", 401, "InvalidApiKey", "Invalid API-key provided."),
        ("bad_key_streamed", 401, "InvalidApiKey", "Invalid API-key provided."),
        ("unknown_model", 404, "ModelNotFound", "Model can not be found."),
        ("unknown_file", 400, "InvalidParameter", UNKNOWN_FILE),
        ("unknown_file_streamed", 400, "InvalidParameter", UNKNOWN_FILE),
        ("out_of_range", 400, "InvalidParameter", "Range of top_p should be (0.0, 1.0]"),
    ],
)
@pytest.mark.shows("errors")
def test_an_error_keeps_status_code_and_words(said: Said, step: str, status: int, code: str, words: str) -> None:
    error = said[step]
    assert (error["status_code"], error["code"], error["message"]) == (status, code, words)
    assert error["request_id"]


@pytest.mark.item(65, 84)
@pytest.mark.shows("files")
def test_a_native_upload_works_without_a_purpose(files: Said) -> None:
    [file] = files["uploaded"]["output"]["uploaded_files"]
    assert (file["name"], file["file_id"].startswith("file-fe-")) == ("年度报告.pdf", True)
    assert files["uploaded"]["output"]["failed_uploads"] == []


@pytest.mark.item(86)
def test_a_native_file_is_listed_got_and_deleted(files: Said) -> None:
    file_id = files["uploaded"]["output"]["uploaded_files"][0]["file_id"]
    got, page = files["got"]["output"], files["listed"]["output"]
    described = {name: got[name] for name in ("file_id", "name", "description", "purpose", "size")}
    assert (page["page_no"], page["page_size"], page["files"][0]["file_id"]) == (1, 2, file_id)
    assert described == {
        "file_id": file_id,
        "name": "年度报告.pdf",
        "description": "年报",
        "purpose": "file-extract",
        "size": (DOCUMENTS / "年度报告.pdf").stat().st_size,
    }
    assert files["deleted"]["status_code"] == 200
    assert (files["got_missing"]["status_code"], files["got_missing"]["code"]) == (400, "InvalidParameter")


@pytest.mark.item(84, 86)
@pytest.mark.shows("documents")
def test_a_native_upload_can_be_asked_about(files: Said) -> None:
    assert "24个月" in files["asked"]["output"]["text"]


@pytest.mark.item(39)
@pytest.mark.client("dashscope-latest")
@pytest.mark.shows("chat", "streams", "errors")
def test_asynchronous_calls_say_the_same(service: RunningService, handbook_id: str) -> None:
    said = results(run_program(service, "latest", PROGRAMS / "dashscope_async.py", handbook_id))
    assert "".join(said["parts"]) == said["whole"]
    assert "24 months" in said["whole"]
    assert said["missing"] == [404, "ModelNotFound", "Model can not be found."]


@pytest.mark.item(28, 87, 91, 112)
@pytest.mark.client("dashscope-client")
@pytest.mark.shows("chat", "streams", "documents", "files", "models", "errors")
def test_the_new_client_works_on_both_protocols(service: RunningService) -> None:
    said = results(
        run_program(service, "latest", PROGRAMS / "dashscope_client.py", service.url, service.key, DOCUMENTS)
    )
    answer, reason = said["native_whole"]
    assert "24 months" in answer
    assert reason == "stop"
    assert said["openai_whole"] == [answer, reason]
    assert "".join(part or "" for part in said["native_parts"]) == answer
    assert "".join(part or "" for part in said["openai_parts"]) == answer
    assert (said["native_finish"], said["openai_finish"]) == ("stop", "stop")
    assert (said["got"], said["listed"], said["deleted"]) == ("handbook.pdf", [said["uploaded"]], True)
    assert said["got_missing"][:3] == ["NotFoundError", 400, "InvalidParameter"]
    assert ("qwen-long" in said["models"], said["model"]) == (True, "qwen-long")
    assert said["bad_key"][:3] == ["AuthenticationError", 401, "InvalidApiKey"]
    assert said["unknown_model_streamed"][1:3] == [404, "ModelNotFound"]
