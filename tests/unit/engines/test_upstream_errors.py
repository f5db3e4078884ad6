"""A status and a body become one error of ours."""

from __future__ import annotations

import json

import pytest

from longscroll.engines.upstream_errors import MAX_MESSAGE_CHARS, error_in_stream, error_of_response
from longscroll.errors import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    ModelUnavailable,
)

SECRET = b'{"error": {"message": "org-secret at host-7"}}'


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, EngineFailed),
        (400, EngineRefused),
        (401, EngineFailed),
        (402, EngineFailed),
        (403, EngineFailed),
        (404, ModelUnavailable),
        (405, EngineFailed),
        (408, EngineTimeout),
        (413, EngineRefused),
        (422, EngineRefused),
        (429, EngineOverloaded),
        (500, EngineFailed),
        (502, ModelUnavailable),
        (503, ModelUnavailable),
        (504, EngineTimeout),
        (529, EngineOverloaded),
    ],
)
def test_each_status_is_one_error(status: int, error: type[EngineError]) -> None:
    assert type(error_of_response(status, b"")) is error


@pytest.mark.parametrize("status", [302, 401, 403, 404, 405, 408, 429, 500, 502, 503, 504])
def test_what_the_server_says_of_itself_stays_here(status: int) -> None:
    assert "secret" not in str(error_of_response(status, SECRET))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "context exceeded", "code": 400, "n_ctx": 4096}}, "context exceeded"),
        ({"object": "error", "message": "too long", "code": 400}, "too long"),
        ({"error": "no such option"}, "no such option"),
        ({"detail": "no"}, "no"),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "extra field", "input": "PROMPT"}]}, "body.top_k: extra field"),
        ({"message": "<400> InternalError.Algo.InvalidParameter: Range of x"}, "Range of x"),
        ({"message": "InternalError.Algo.InvalidParameter: Range of x"}, "Range of x"),
        ({"message": "<400> InternalError.Algo: Range of x"}, "Range of x"),
        ({"message": "one\n  two"}, "one two"),
        ({"message": ""}, "The model server refused the request (HTTP 400)."),
        ({"error": {"message": 5}}, "The model server refused the request (HTTP 400)."),
        ([], "The model server refused the request (HTTP 400)."),
    ],
)
@pytest.mark.item(109)
def test_a_refusal_keeps_the_servers_own_words(body: object, message: str) -> None:
    assert str(error_of_response(400, json.dumps(body).encode())) == message


@pytest.mark.parametrize("body", [b"", b"<html>502 Bad Gateway</html>", b"\xff\x00", b'{"error": {"mess'])
def test_a_body_that_is_no_json_says_nothing(body: bytes) -> None:
    assert str(error_of_response(400, body)) == "The model server refused the request (HTTP 400)."


def test_a_long_message_is_cut() -> None:
    message = str(error_of_response(400, json.dumps({"message": "长" * 5000}).encode()))
    assert (len(message), message[-1]) == (MAX_MESSAGE_CHARS, "…")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.2", 1), ("-3", 1), (None, 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("inf", 1), ("99999", 3600)],
)
def test_overload_says_when_to_come_back(header: str | None, seconds: int) -> None:
    error = error_of_response(429, b"", retry_after=header)
    assert isinstance(error, EngineOverloaded)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 503}, ModelUnavailable),
        ({"code": "429"}, EngineOverloaded),
        ({"status": 504}, EngineTimeout),
        ({"code": "context_length_exceeded"}, EngineRefused),
        ({"type": "invalid_request_error"}, EngineRefused),
        ({"type": "server_error", "code": None}, EngineFailed),
        ({}, EngineFailed),
        ("text", EngineFailed),
        (None, EngineFailed),
    ],
)
def test_an_error_in_the_stream_finds_its_status(error: object, expected: type[EngineError]) -> None:
    assert type(error_in_stream(error)) is expected
