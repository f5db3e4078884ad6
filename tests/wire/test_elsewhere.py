"""What is not served here is refused cleanly, in the shape of the surface whose path it is."""

from __future__ import annotations

import json

import pytest

from factories.wire import KEY, REQUEST_ID, WireService

NATIVE = [
    ("POST", "/api/v1/services/aigc/text2image/image-synthesis"),
    ("POST", "/api/v1/services/aigc/image2image/image-synthesis"),
    ("POST", "/api/v1/services/aigc/image-generation/generation"),
    ("POST", "/api/v1/services/aigc/video-generation/video-synthesis"),
    ("POST", "/api/v1/services/audio/asr/transcription"),
    ("POST", "/api/v1/services/audio/tts/SpeechSynthesizer"),
    ("POST", "/api/v1/services/embeddings/multimodal-embedding/multimodal-embedding"),
    ("POST", "/api/v1/services/nlp/nlu/understanding"),
    ("POST", "/api/v1/apps/5f3a/completion"),
    ("GET", "/api/v1/assistants"),
    ("POST", "/api/v1/threads/t1/messages"),
    ("POST", "/api/v1/threads/runs"),
    ("GET", "/api/v1/deployments"),
    ("GET", "/api/v1/fine-tunes"),
    ("GET", "/api/v1/uploads?action=getPolicy&model=qwen-long"),
    ("GET", "/api/v1/public-keys/latest"),
    ("POST", "/api/v2/apps"),
    ("GET", "/api-ws/v1/inference"),
]
COMPAT = [
    ("POST", "/compatible-mode/v1/responses"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/compatible-mode/v1/fine_tuning/jobs"),
    ("POST", "/compatible-mode/v1/uploads"),
    ("GET", "/v1/assistants"),
    ("POST", "/apps/anthropic/v1/messages"),
    ("GET", "/favicon.ico"),
]
KNOWN = [
    ("GET", "/compatible-mode/v1/chat/completions"),
    ("PUT", "/v1/files"),
    ("PATCH", "/v1/files/file-fe-1"),
    ("DELETE", "/v1/models"),
    ("GET", "/api/v1/services/aigc/text-generation/generation"),
    ("PUT", "/api/v1/files/file-fe-1"),
    ("GET", "/api/v1/tokenizer"),
    ("DELETE", "/api/v1/tasks/1"),
]


@pytest.mark.item(6, 94)
@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize(("method", "path"), NATIVE)
def test_a_native_service_that_is_not_here_is_not_found(
    service: WireService, method: str, path: str, key: str | None
) -> None:
    reply = service.exchange(method, path, b"{}", key=key)
    expected = {"code": "NotFound", "message": "Not found!", "request_id": REQUEST_ID}
    assert (reply.status, reply.headers["content-type"], json.loads(reply.body)) == (404, "application/json", expected)


@pytest.mark.item(6, 94)
@pytest.mark.parametrize(("method", "path"), COMPAT)
def test_another_service_that_is_not_here_is_not_found(service: WireService, method: str, path: str) -> None:
    reply = service.exchange(method, path, b"{}")
    error = {"code": "not_found", "param": None, "message": "Not found!", "type": "invalid_request_error"}
    expected = {"error": error, "request_id": REQUEST_ID}
    assert (reply.status, reply.headers["content-type"], json.loads(reply.body)) == (404, "application/json", expected)


@pytest.mark.item(6)
@pytest.mark.parametrize(("method", "path"), KNOWN)
def test_another_method_on_a_known_path_is_400_and_named(service: WireService, method: str, path: str) -> None:
    reply = service.exchange(method, path)
    body = json.loads(reply.body)
    error = body.get("error", body)
    words = f"Request method '{method}' is not supported."
    code = "InvalidParameter" if path.startswith("/api/") else "invalid_parameter_error"
    assert (reply.status, error["code"], error["message"]) == (400, code, words)


@pytest.mark.item(94)
def test_a_websocket_is_refused_in_http(service: WireService) -> None:
    head = (
        f"GET /api-ws/v1/inference HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {KEY}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with service.connect() as connection:
        connection.send(head.encode())
        refused = connection.receive()
    assert (refused.status, json.loads(refused.body)["code"]) == (404, "NotFound")


@pytest.mark.item(126)
def test_every_reply_says_what_it_cost(service: WireService) -> None:
    asked = json.dumps({"model": "qwen-long", "messages": [{"role": "user", "content": "late refusal"}]}).encode()
    quick = service.exchange("GET", "/v1/models")
    slow = service.exchange("POST", "/v1/chat/completions", asked)
    assert 0 <= int(quick.headers["req-cost-time"]) < 300 <= int(slow.headers["req-cost-time"]) < 10_000


@pytest.mark.item(126)
def test_a_stream_says_what_it_took_to_begin(service: WireService) -> None:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": "slow"}], "stream": True}
    reply = service.exchange("POST", "/v1/chat/completions", json.dumps(body).encode())
    assert 100 <= int(reply.headers["req-cost-time"]) < 10_000
