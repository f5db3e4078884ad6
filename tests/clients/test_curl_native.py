"""The native surface as curl sees it: which form an answer takes, and the bytes of its frames."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from factories.client_programs import Exchange, exchange, post
from factories.running import RunningService

pytestmark = pytest.mark.client("curl")

PATH = "/api/v1/services/aigc/text-generation/generation"
STREAM = ("-H", "X-DashScope-SSE: enable")
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
QUESTION = {"role": "user", "content": "How long is the warranty of the pump?"}


def about(file_id: str, **parameters: Any) -> dict[str, Any]:
    document = {"role": "system", "content": f"fileid://{file_id}"}
    return {"model": "qwen-long", "input": {"messages": [SYSTEM, document, QUESTION]}, "parameters": parameters}


def error(reply: Exchange) -> tuple[int, str, str]:
    body = reply.json()
    assert set(body) == {"code", "message", "request_id"}
    assert all(isinstance(value, str) and value for value in body.values())
    return reply.status, body["code"], body["message"]


@pytest.mark.item(20)
def test_parameters_may_be_absent(service: RunningService) -> None:
    reply = post(service, PATH, {"model": "qwen-long", "input": {"prompt": "你好"}})
    assert (reply.status, reply.json()["output"]["choices"][0]["finish_reason"]) == (200, "stop")


@pytest.mark.item(24, 25, 26, 41)
@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (
            {"model": "qwen-long", "input": {"prompt": ""}},
            400,
            "InvalidParameter",
            'Either "prompt" or "messages" must exist and cannot both be none',
        ),
        (
            {"model": "qwen-long"},
            400,
            "BadRequest.EmptyInput",
            "Required input parameter missing from request.",
        ),
        (
            {"input": {"prompt": "你好"}},
            400,
            "BadRequest.EmptyModel",
            'Required parameter "model" missing from request.',
        ),
        ({"model": "qwen-short", "input": {"prompt": "你好"}}, 404, "ModelNotFound", "Model can not be found."),
    ],
)
@pytest.mark.parametrize("headers", [(), STREAM])
@pytest.mark.shows("errors")
def test_a_wrong_request_is_a_native_error(
    service: RunningService, body: object, status: int, code: str, message: str, headers: tuple[str, ...]
) -> None:
    assert error(post(service, PATH, body, *headers)) == (status, code, message)


@pytest.mark.item(27, 28, 29)
@pytest.mark.parametrize(
    ("headers", "content_type"),
    [
        ((*STREAM, "-H", "Accept: */*"), "text/event-stream;charset=UTF-8"),
        (("-H", "Accept: text/event-stream"), "text/event-stream;charset=UTF-8"),
        ((), "application/json"),
    ],
)
def test_either_header_alone_asks_for_a_stream(
    service: RunningService, headers: tuple[str, ...], content_type: str
) -> None:
    reply = post(service, PATH, {"model": "qwen-long", "input": {"prompt": "你好"}}, *headers)
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)


@pytest.mark.item(30, 31)
@pytest.mark.shows("streams", "documents")
def test_frames_are_exact_bytes(service: RunningService, handbook_id: str) -> None:
    frames = post(service, PATH, about(handbook_id), *STREAM).frames()
    for number, frame in enumerate(frames, start=1):
        head, data = frame.split(b"\ndata:")
        assert head == b"id:%d\nevent:result\n:HTTP_STATUS/200" % number
        assert json.loads(data)["output"]
        assert b"\n" not in data


@pytest.mark.item(32, 33)
@pytest.mark.shows("usage")
def test_usage_only_grows_and_ends_exact(service: RunningService, handbook_id: str) -> None:
    whole = post(service, PATH, about(handbook_id)).json()["usage"]
    events = post(service, PATH, about(handbook_id, incremental_output=True), *STREAM).events()
    outputs = [event["usage"]["output_tokens"] for event in events]
    reasons = [event["output"]["choices"][0]["finish_reason"] for event in events]
    assert outputs == sorted(outputs)
    assert {event["usage"]["input_tokens"] for event in events} == {whole["input_tokens"]}
    assert outputs[-1] == whole["output_tokens"]
    assert reasons == ["null"] * (len(events) - 1) + ["stop"]


@pytest.mark.item(34)
def test_increments_add_up_and_the_rest_extends(service: RunningService, handbook_id: str) -> None:
    whole = post(service, PATH, about(handbook_id, result_format="text")).json()["output"]["text"]
    parts = post(service, PATH, about(handbook_id, result_format="text", incremental_output=True), *STREAM).events()
    longer = [
        event["output"]["text"]
        for event in post(service, PATH, about(handbook_id, result_format="text"), *STREAM).events()
    ]
    assert "".join(event["output"]["text"] for event in parts) == whole
    assert longer[-1] == whole
    assert all(after.startswith(before) for before, after in pairwise(longer))


@pytest.mark.item(35, 36, 43)
@pytest.mark.parametrize(
    ("parameters", "keys"),
    [
        ({"result_format": "message"}, {"choices"}),
        ({"result_format": "text"}, {"text", "finish_reason"}),
        ({}, {"choices"}),
    ],
)
@pytest.mark.shows("chat")
def test_the_result_format_decides_the_output(
    service: RunningService, handbook_id: str, parameters: dict[str, str], keys: set[str]
) -> None:
    output = post(service, PATH, about(handbook_id, **parameters)).json()["output"]
    assert set(output) - {"annotations"} == keys


@pytest.mark.item(42, 44)
def test_a_success_has_integers_and_no_code(service: RunningService, handbook_id: str) -> None:
    body = post(service, PATH, about(handbook_id)).json()
    usage = body["usage"]
    counts = [usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]]
    assert not body.get("code")
    assert [type(count) for count in counts] == [int, int, int]
    assert counts[2] == counts[0] + counts[1]


@pytest.mark.item(39, 71)
def test_an_error_before_the_first_frame_is_a_real_status(service: RunningService) -> None:
    unknown = "file-fe-00000000000000000000ffff"
    reply = post(service, PATH, about(unknown), *STREAM)
    assert error(reply) == (400, "InvalidParameter", f"Invalid file [id:{unknown}].")


@pytest.mark.item(92)
def test_asynchronous_generation_is_refused(service: RunningService, handbook_id: str) -> None:
    reply = post(service, PATH, about(handbook_id), "-H", "X-DashScope-Async: enable")
    assert error(reply) == (403, "AccessDenied", "Current user api does not support asynchronous calls.")


@pytest.mark.item(85)
def test_a_partly_failed_upload_is_a_success(service: RunningService) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}")
    files = ("-F", "files=@-;filename=好.txt", "-F", "files=@/dev/null;filename=poem.txt")
    purposes = ("-F", "purpose=file-extract", "-F", "purpose=poetry")
    reply = exchange(*key, *files, *purposes, f"{service.url}/api/v1/files", data="春天来了。".encode())
    data = reply.json()["data"]
    assert reply.status == 200
    assert [file["name"] for file in data["uploaded_files"]] == ["好.txt"]
    assert data["failed_uploads"] == [
        {"name": "poem.txt", "code": "InvalidParameter", "message": "'purpose' must be 'file-extract'"}
    ]


@pytest.mark.item(91)
@pytest.mark.shows("models")
def test_models_are_listed_by_query_and_by_path(service: RunningService) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}")
    listed = exchange(*key, f"{service.url}/api/v1/models?page_no=1&page_size=10").json()["output"]
    by_query = exchange(*key, f"{service.url}/api/v1/models?model=qwen-long").json()["output"]["models"]
    by_path = exchange(*key, f"{service.url}/api/v1/models/qwen-long").json()["output"]
    assert listed["total"] == len(listed["models"])
    assert [model["model"] for model in by_query] == ["qwen-long"]
    assert by_path["model"] == "qwen-long"
