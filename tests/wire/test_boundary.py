"""What holds for every path: who may come in, which check comes first, what every response carries."""

from __future__ import annotations

import json

import pytest

from factories.wire import KEY, NARROW_KEY, READER_KEY, REQUEST_ID, WireService

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}]}'
PROMPT = b'{"model":"qwen-long","input":{"prompt":"hi"}}'


def code(body: bytes) -> str:
    parsed = json.loads(body)
    found: str = parsed["error"]["code"] if "error" in parsed else parsed["code"]
    return found


@pytest.mark.item(1)
@pytest.mark.parametrize(("path", "body"), [(CHAT, HELLO), (GENERATION, PROMPT)])
@pytest.mark.parametrize("header", [f"Authorization: Bearer {KEY}", f"authorization:   bearer   {KEY}  "])
def test_one_key_opens_both_surfaces(service: WireService, path: str, body: bytes, header: str) -> None:
    assert service.exchange("POST", path, body, header, key=None).status == 200


@pytest.mark.item(2, 3)
@pytest.mark.parametrize(
    "header", ["X-Nothing: 1", "Authorization:", "Authorization: Bearer", "Authorization: Basic eDp5"]
)
@pytest.mark.parametrize(("path", "expected"), [(CHAT, "invalid_api_key"), (GENERATION, "InvalidApiKey")])
def test_without_a_known_key_the_answer_is_401(service: WireService, path: str, expected: str, header: str) -> None:
    reply = service.exchange("POST", path, b"{}", header, key=None)
    assert (reply.status, code(reply.body)) == (401, expected)


@pytest.mark.item(4)
@pytest.mark.parametrize("path", [CHAT, GENERATION, "/v1/files"])
def test_the_key_is_checked_before_the_body(service: WireService, path: str) -> None:
    assert service.exchange("POST", path, b"{not json", key="sk-unknown").status == 401


def test_an_unknown_path_is_404_without_a_key_too(service: WireService) -> None:
    statuses = [service.exchange("GET", path, key=None).status for path in ("/", "/v1", "/api/v1/jobs", "/healthz/x")]
    assert statuses == [404, 404, 404, 404]


@pytest.mark.item(15)
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(service: WireService, path: str) -> None:
    assert service.exchange("GET", path, key=None).status == 200


@pytest.mark.item(15)
def test_another_method_on_an_open_path_is_not_open(service: WireService) -> None:
    assert service.exchange("POST", "/healthz", key=None).status == 401


@pytest.mark.item(5)
@pytest.mark.parametrize(
    ("path", "body"),
    [(GENERATION, PROMPT), (GENERATION, b"{}"), (CHAT, b"{}"), ("/api/v1/nothing", b""), ("/v1/nothing", b"")],
)
def test_header_and_body_carry_the_same_request_id(service: WireService, path: str, body: bytes) -> None:
    reply = service.exchange("POST", path, body)
    assert (reply.headers["x-request-id"], json.loads(reply.body)["request_id"]) == (REQUEST_ID, REQUEST_ID)


@pytest.mark.item(5)
def test_the_completion_id_holds_the_request_id(service: WireService) -> None:
    reply = service.exchange("POST", CHAT, HELLO)
    assert json.loads(reply.body)["id"] == f"chatcmpl-{reply.headers['x-request-id']}"


@pytest.mark.item(6, 83)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_bug_of_ours_is_500_in_json_and_tells_nothing(service: WireService, path: str) -> None:
    body = HELLO.replace(b"hi", b"bug") if path == CHAT else PROMPT.replace(b"hi", b"bug")
    reply = service.exchange("POST", path, body)
    assert (reply.status, reply.headers["content-type"], b"secret" in reply.body) == (500, "application/json", False)


@pytest.mark.item(7)
@pytest.mark.parametrize(
    "path",
    [
        *(f"{CHAT}/", f"/{CHAT}", "/compatible-mode//v1/chat//completions", "/v1/chat/completions"),
        *("/compatible-mode/v1chat/completions", "/v1chat/completions"),
    ],
)
def test_slashes_too_many_or_too_few_do_not_redirect(service: WireService, path: str) -> None:
    assert service.exchange("POST", path, HELLO).status == 200


def test_an_administrator_writes_every_slash(service: WireService) -> None:
    assert [service.exchange("GET", path).status for path in ("/admin/v1keys", "/testing/v1script")] == [404, 404]


@pytest.mark.item(10)
def test_unknown_headers_and_fields_are_ignored(service: WireService) -> None:
    body = HELLO[:-1] + b',"logit_bias":{"1":2},"metadata":{},"anything":[1,{"deep":null}]}'
    reply = service.exchange("POST", CHAT, body, "X-Stainless-Lang: python", "Idempotency-Key: 1", "OpenAI-Project: x")
    assert reply.status == 200


@pytest.mark.item(11)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain"])
def test_the_body_is_utf8_whatever_the_content_type_says(service: WireService, content_type: str) -> None:
    body = "\ufeff".encode() + HELLO.replace(b"hi", "你好吗".encode())
    reply = service.exchange("POST", CHAT, body, f"Content-Type: {content_type}")
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "你好吗"


@pytest.mark.item(12)
def test_an_escaped_lone_surrogate_is_replaced(service: WireService) -> None:
    reply = service.exchange("POST", CHAT, HELLO.replace(b"hi", b"a\\ud83db\\ud83d\\ude00"))
    assert json.loads(reply.body)["choices"][0]["message"]["content"] == "a\ufffdb😀"


@pytest.mark.item(13)
def test_a_number_that_nobody_can_hold_is_400(service: WireService) -> None:
    replies = [service.exchange("POST", path, b'{"model":1e99999}') for path in (CHAT, GENERATION)]
    assert [reply.status for reply in replies] == [400, 400]


@pytest.mark.item(13)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"{} {}", b'"\\ud800"', b"\xff", b"[" * 100_000, b'{"a":"\\ud8']
)
def test_what_is_no_json_object_is_400_in_the_words_of_the_surface(service: WireService, body: bytes) -> None:
    compat, native = (service.exchange("POST", path, body) for path in (CHAT, GENERATION))
    assert (compat.status, code(compat.body)) == (400, "invalid_request_error")
    assert (native.status, code(native.body)) == (400, "InvalidParameter")


def test_a_head_request_is_a_get_without_a_body(service: WireService) -> None:
    with service.connect() as connection:
        connection.send(f"HEAD /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        head = connection.receive_until(b"\r\n\r\n")
        connection.send(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        heads = [head, connection.receive_until(b"\r\n\r\n")]
    assert [head.split(b"\r\n")[0] for head in heads] == [b"HTTP/1.1 200 OK"] * 2


def test_options_names_the_methods_of_a_path(service: WireService) -> None:
    reply = service.exchange("OPTIONS", "/v1/files")
    assert (reply.status, reply.headers["allow"], reply.body) == (200, "POST, GET", b"")


@pytest.mark.parametrize(
    ("key", "method", "path", "body"),
    [
        (READER_KEY, "POST", CHAT, HELLO),
        (READER_KEY, "DELETE", "/v1/files/file-fe-1", b""),
        (NARROW_KEY, "GET", "/api/v1/files", b""),
        (NARROW_KEY, "POST", CHAT, HELLO),  # another model than the key is for
    ],
)
def test_a_key_without_the_right_is_403(service: WireService, key: str, method: str, path: str, body: bytes) -> None:
    assert service.exchange(method, path, body, key=key).status == 403
