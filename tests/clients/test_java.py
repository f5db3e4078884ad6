"""The Java SDK of DashScope: its own request bytes over a raw socket, read by its own rules; and the SDK, where it is.

The real program needs a JDK and the variable DASHSCOPE_JAVA_CLASSPATH: dashscope-sdk-java with what it needs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from factories.client_programs import JAVA_PROGRAMS, results, run_java
from factories.java_client import JavaError, call_request, merged, read_error, read_result, read_stream, stream_request
from factories.running import RunningService
from factories.wire import Connection

pytestmark = pytest.mark.client("java")

Said = dict[str, Any]
QUESTION = {"role": "user", "content": "How long is the warranty of the pump?"}
PAGE = {"model": "chatyuan-large-v2", "input": {"prompt": "翻译成英文：春天来了，花朵都开了。"}}
UNKNOWN_FILE = "file-fe-00000000000000000000ffff"
REFUSALS = [
    ("unknown_file", 400, "InvalidParameter", f"Invalid file [id:{UNKNOWN_FILE}]."),
    ("unknown_model", 404, "ModelNotFound", "Model can not be found."),
    ("bad_key", 401, "InvalidApiKey", "Invalid API-key provided."),
]


def about(file_id: str, *, model: str = "qwen-long", **parameters: Any) -> dict[str, Any]:
    """Return a question about a file; the SDK leaves empty parameters out."""
    messages = [{"role": "system", "content": f"fileid://{file_id}"}, QUESTION]
    return {"model": model, "input": {"messages": messages}} | ({"parameters": parameters} if parameters else {})


@pytest.fixture
def connection(equipped: RunningService) -> Any:
    with Connection(equipped.host_and_port[1]) as connection:
        yield connection


@pytest.fixture(scope="module")
def said(equipped: RunningService, document_ids: tuple[str, str]) -> Said:
    program = JAVA_PROGRAMS / "Generations.java"
    return results(run_java(equipped, program, f"{equipped.url}/api/v1", equipped.key, document_ids[0]))


@pytest.mark.item(19, 20, 43, 44)
@pytest.mark.shows("chat")
def test_the_call_of_the_chatyuan_page_is_read(equipped: RunningService, connection: Connection) -> None:
    connection.send(call_request(equipped.host_and_port[1], equipped.key, PAGE))
    result = read_result(connection.receive())
    assert (result.text, result.choices) == ("晴，二十一度。", ())
    assert result.usage == {"input_tokens": 12, "output_tokens": 6, "total_tokens": 18}
    assert result.request_id


@pytest.mark.item(19, 35)
@pytest.mark.shows("chat", "documents")
def test_one_connection_takes_call_after_call(
    equipped: RunningService, connection: Connection, document_ids: tuple[str, str]
) -> None:
    request = call_request(equipped.host_and_port[1], equipped.key, about(document_ids[0], result_format="message"))
    answers = []
    for _ in range(2):
        connection.send(request)
        answers.append(read_result(connection.receive()))
    assert answers[0].choices == answers[1].choices
    [(role, content, reason)] = answers[0].choices
    assert (role, "24 months" in content, reason) == ("assistant", True, "stop")


@pytest.mark.item(31, 111)
@pytest.mark.shows("streams", "usage", "documents")
def test_a_merged_stream_shows_the_whole_text_so_far(
    equipped: RunningService, connection: Connection, document_ids: tuple[str, str]
) -> None:
    port, key = equipped.host_and_port[1], equipped.key
    body = about(document_ids[0], result_format="message", incremental_output=True)
    connection.send(stream_request(port, key, body, is_merged=True))
    results = read_stream(connection.receive())
    connection.send(call_request(port, key, about(document_ids[0], result_format="message")))
    whole = read_result(connection.receive())
    shown = [text for [text] in merged(results)]
    assert shown[-1] == whole.choices[0][1]
    assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert (len(shown) > 2, results[-1].usage) == (True, whole.usage)


@pytest.mark.item(31, 32, 111)
@pytest.mark.shows("streams", "usage")
def test_a_merged_stream_of_text_says_null_until_its_end(equipped: RunningService, connection: Connection) -> None:
    body = PAGE | {"parameters": {"incremental_output": True}}
    connection.send(stream_request(equipped.host_and_port[1], equipped.key, body, is_merged=True))
    results = read_stream(connection.receive())
    shown = [text for [text] in merged(results)]
    assert shown[:3] == ["晴，", "晴，二十一", "晴，二十一度。"]
    assert shown[-1] == "晴，二十一度。"
    assert [result.finish_reason for result in results] == ["null"] * (len(results) - 1) + ["stop"]


@pytest.mark.item(19, 39, 41)
@pytest.mark.shows("errors")
@pytest.mark.parametrize(("step", "status", "code", "words"), REFUSALS)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_refusal_is_read_with_its_status(
    equipped: RunningService,
    connection: Connection,
    document_ids: tuple[str, str],
    step: str,
    status: int,
    code: str,
    words: str,
    is_streamed: bool,
) -> None:
    port = equipped.host_and_port[1]
    key = "sk-nobody" if step == "bad_key" else equipped.key
    model = "qwen-short" if step == "unknown_model" else "qwen-long"
    body = about(UNKNOWN_FILE if step == "unknown_file" else document_ids[0], model=model)
    request = stream_request(port, key, body, is_merged=False) if is_streamed else call_request(port, key, body)
    connection.send(request)
    error = read_error(connection.receive())
    assert error == JavaError(status, code, words, error.request_id)


@pytest.mark.item(19)
@pytest.mark.shows("chat", "documents")
def test_the_sdk_itself_prints_an_answer(said: Said) -> None:
    page = said["page"]
    assert (page["output"]["text"], page["output"]["finish_reason"]) == ("晴，二十一度。", "stop")
    assert (page["status_code"], page["code"], page["message"]) == (200, "", "")
    assert page["requestId"]
    assert "24 months" in said["message"]["output"]["choices"][0]["message"]["content"]


@pytest.mark.item(111)
@pytest.mark.shows("streams", "usage")
def test_the_sdk_itself_shows_cumulative_text(said: Said) -> None:
    whole = said["message"]["output"]["choices"][0]["message"]["content"]
    shown = [result["output"]["choices"][0]["message"]["content"] for result in said["cumulative"]]
    parts = [result["output"]["choices"][0]["message"]["content"] for result in said["incremental"]]
    texts = [result["output"]["text"] for result in said["page_streamed"]]
    assert (shown[-1], "".join(parts)) == (whole, whole)
    assert texts[:3] == ["晴，", "晴，二十一", "晴，二十一度。"]
    assert said["cumulative"][-1]["usage"] == said["message"]["usage"]


@pytest.mark.item(19, 39, 41)
@pytest.mark.shows("errors")
@pytest.mark.parametrize(("step", "status", "code", "words"), REFUSALS)
def test_the_sdk_itself_throws_what_was_refused(said: Said, step: str, status: int, code: str, words: str) -> None:
    called, streamed = said[step]
    assert called == {"status": status, "code": code, "message": words, "request_id": called["request_id"]}
    assert streamed == called | {"request_id": streamed["request_id"]}
