"""What holds for every request, seen by curl: keys, ids, content types, forms of the address and of the body."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection

import pytest

from factories.client_programs import DOCUMENTS, exchange, post
from factories.running import RunningService

pytestmark = pytest.mark.client("curl")

CHAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
FILES = "/compatible-mode/v1/files"
HELLO = {"model": "qwen-long", "messages": [{"role": "user", "content": "你好"}]}
NATIVE_HELLO = {"model": "qwen-long", "input": {"messages": HELLO["messages"]}}
BAD_KEYS = ((), ("-H", "Authorization: Bearer"), ("-H", "Authorization: sk-nobody"), ("-H", "Authorization: Bearer no"))


@pytest.mark.item(1)
def test_one_key_opens_both_surfaces(service: RunningService) -> None:
    assert post(service, CHAT, HELLO).status == 200
    assert post(service, NATIVE, NATIVE_HELLO).status == 200


@pytest.mark.item(2)
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_is_a_native_401(service: RunningService, key: tuple[str, ...]) -> None:
    reply = exchange(*key, "--json", json.dumps(NATIVE_HELLO), f"{service.url}{NATIVE}")
    request_id = reply.headers["x-request-id"]
    assert reply.status == 401
    assert reply.json() == {
        "code": "InvalidApiKey",
        "message": "Invalid API-key provided.",
        "request_id": request_id,
    }


@pytest.mark.item(3, 58)
@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_is_a_compat_401(service: RunningService, key: tuple[str, ...]) -> None:
    reply = exchange(*key, "--json", json.dumps(HELLO), f"{service.url}{CHAT}")
    assert reply.status == 401
    assert reply.json()["error"] == {
        "code": "invalid_api_key",
        "type": "invalid_request_error",
        "param": None,
        "message": "Incorrect API key provided.",
    }
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


@pytest.mark.item(4)
@pytest.mark.parametrize("path", [CHAT, NATIVE, FILES])
def test_the_key_is_checked_before_the_body(service: RunningService, path: str) -> None:
    assert exchange("-H", "Authorization: Bearer no", "--json", "{", f"{service.url}{path}").status == 401


@pytest.mark.item(5)
def test_the_request_id_stands_in_header_and_body(service: RunningService) -> None:
    chat, native = post(service, CHAT, HELLO), post(service, NATIVE, NATIVE_HELLO)
    assert chat.json()["id"] == f"chatcmpl-{chat.headers['x-request-id']}"
    assert native.json()["request_id"] == native.headers["x-request-id"]


@pytest.mark.item(5)
def test_the_request_id_stands_in_every_frame(service: RunningService) -> None:
    chat = post(service, CHAT, HELLO | {"stream": True})
    native = post(service, NATIVE, NATIVE_HELLO, "-H", "X-DashScope-SSE: enable")
    assert {event["id"] for event in chat.events()} == {f"chatcmpl-{chat.headers['x-request-id']}"}
    assert {event["request_id"] for event in native.events()} == {native.headers["x-request-id"]}


@pytest.mark.item(6)
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (CHAT, HELLO | {"model": "qwen-short"}, 404),
        (CHAT, [], 400),
        ("/compatible-mode/v1/nothing", HELLO, 404),
        ("/nowhere", HELLO, 404),
        ("/compatible-mode/v1/models", HELLO, 400),
        (NATIVE, {}, 400),
        (NATIVE, {"model": "chatyuan-large-v2", "input": {"prompt": "你好"}}, 503),
        ("/api/v1/services/audio/tts", {}, 404),
    ],
)
def test_every_error_is_json(service: RunningService, path: str, body: object, status: int) -> None:
    reply = post(service, path, body)
    assert (reply.status, reply.json()["request_id"]) == (status, reply.headers["x-request-id"])


@pytest.mark.item(6)
def test_a_body_over_the_limit_is_a_json_413(service: RunningService) -> None:
    body = HELLO | {"user": "x" * (17 << 20)}
    reply = post(service, CHAT, body)
    assert (reply.status, reply.json()["error"]["code"]) == (413, "BadRequest.TooLarge")


@pytest.mark.item(7)
@pytest.mark.parametrize("path", [f"{CHAT}/", CHAT.replace("/chat", "//chat"), f"/{CHAT}", "/v1/chat/completions"])
def test_no_form_of_the_address_redirects(service: RunningService, path: str) -> None:
    assert post(service, path, HELLO, "--path-as-is").status == 200


@pytest.mark.item(8)
@pytest.mark.slow
def test_an_idle_connection_lives_a_minute(service: RunningService) -> None:
    connection = HTTPConnection(*service.host_and_port)
    statuses = []
    for pause_s in (61, 0):
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
        time.sleep(pause_s)
    connection.close()
    assert statuses == [200, 200]


@pytest.mark.item(9)
def test_a_chunked_body_is_accepted(service: RunningService) -> None:
    assert post(service, CHAT, HELLO, "-H", "Transfer-Encoding: chunked").status == 200


@pytest.mark.item(9, 65)
@pytest.mark.parametrize("order", [1, -1])
def test_the_parts_of_an_upload_come_in_any_order(service: RunningService, order: int) -> None:
    parts = (("-F", "purpose=file-extract"), ("-F", f"file=@{DOCUMENTS / '年度报告.txt'}"))
    form = [word for part in parts[::order] for word in part]
    key = ("-H", f"Authorization: Bearer {service.key}", "-H", "Transfer-Encoding: chunked")
    reply = exchange(*key, *form, f"{service.url}{FILES}")
    assert (reply.status, reply.json()["filename"]) == (200, "年度报告.txt")


@pytest.mark.item(10)
def test_unknown_headers_and_fields_are_ignored(service: RunningService) -> None:
    headers = ("-H", "X-Stainless-Lang: python", "-H", "X-DashScope-Plugin: {}", "-H", "Idempotency-Key: 1")
    assert post(service, CHAT, HELLO | {"wishes": {"n": 3}}, *headers).status == 200
    assert post(service, NATIVE, NATIVE_HELLO | {"wishes": 3, "parameters": {"more": []}}, *headers).status == 200


@pytest.mark.item(11)
@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "application/json", "text/plain"])
def test_the_body_is_utf8_whatever_its_type_says(service: RunningService, content_type: str) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}", "-H", f"Content-Type: {content_type}")
    body = b"\xef\xbb\xbf" + json.dumps(HELLO, ensure_ascii=False).encode()
    assert exchange(*key, "--data-binary", "@-", f"{service.url}{CHAT}", data=body).status == 200
