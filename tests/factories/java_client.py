"""What the Java SDK of DashScope sends and how it reads replies, for machines that have neither JDK nor SDK.

Requests are the bytes that dashscope-sdk-java 2.22.29 over okhttp put on the wire, header for header. Replies are read
by the rules of PROTOCOL.md §12: what that SDK would throw at is an AssertionError here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from factories.wire import Reply

PATH = "/api/v1/services/aigc/text-generation/generation"
USER_AGENT = "dashscope/2.22.29; java/17.0.15; platform/Linux; processor/amd64"


class JavaError(Struct, frozen=True):
    """The status that an ``ApiException`` carries."""

    status: int
    code: str
    message: str
    request_id: str


class JavaResult(Struct, frozen=True):
    """A ``GenerationResult``."""

    request_id: str
    text: str | None
    choices: tuple[tuple[str, str, str], ...]  # role, content, finish reason
    finish_reason: str | None
    usage: dict[str, int] | None


def call_request(port: int, key: str, body: dict[str, Any]) -> bytes:
    """Return what ``Generation.call`` sends."""
    return _request(port, key, body, ["Accept: application/json; charset=utf-8", f"user-agent: {USER_AGENT}"])


def stream_request(port: int, key: str, body: dict[str, Any], *, is_merged: bool) -> bytes:
    """Return what ``Generation.streamCall`` sends; merged is a stream that the caller wants cumulative."""
    headers = [
        "X-DashScope-SSE: enable",
        "Cache-Control: no-cache",
        "Accept: text/event-stream",
        "X-Accel-Buffering: no",
        f"user-agent: {USER_AGENT}; incremental_to_full/{int(is_merged)}",
    ]
    return _request(port, key, body, headers)


def _request(port: int, key: str, body: dict[str, Any], headers: list[str]) -> bytes:
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    lines = [
        f"POST {PATH} HTTP/1.1",
        f"Authorization: Bearer {key}",
        *headers,
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(data)}",
        f"Host: 127.0.0.1:{port}",
        "Connection: Keep-Alive",
        "Accept-Encoding: gzip",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + data


def read_result(reply: Reply) -> JavaResult:
    """Read the reply to a call."""
    assert 200 <= reply.status < 300, reply
    return _result(reply, reply.body)


def read_error(reply: Reply) -> JavaError:
    """Read a refusal, which is JSON whatever was asked for."""
    assert reply.status >= 400, reply
    assert "application/json" in reply.headers["content-type"].lower(), reply.headers
    body = json.loads(reply.body)
    assert isinstance(body, dict), body
    code, message, request_id = (_string(body, name) for name in ("code", "message", "request_id"))
    return JavaError(reply.status, code, message, request_id)


def read_stream(reply: Reply) -> list[JavaResult]:
    """Read an event stream as okhttp does: by media type, an event at each empty line, the rest dropped."""
    assert 200 <= reply.status < 300, reply
    assert reply.headers["content-type"].partition(";")[0].strip() == "text/event-stream"
    results = []
    for kind, data in _events(reply.body.decode()):
        assert kind in {"result", "data"}, (kind, data)
        results.append(_result(reply, data.encode()))
    return results


def merged(results: list[JavaResult]) -> list[list[str]]:
    """Return the texts that ``incrementalOutput(false)`` shows: the increments added up, by choice."""
    contents: dict[int, str] = {}
    shown = []
    for result in results:
        parts = [result.text or ""] if not result.choices else [content for _, content, _ in result.choices]
        contents |= {index: contents.get(index, "") + part for index, part in enumerate(parts)}
        shown.append(list(contents.values()))
    return shown


def _events(text: str) -> Iterator[tuple[str | None, str]]:
    kind: str | None = None
    data: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        name, _, value = line.partition(":")
        if not line and data:
            yield kind, "\n".join(data)
        if not line:
            kind, data = None, []
        elif name == "event":
            kind = value.removeprefix(" ")
        elif name == "data":
            data.append(value.removeprefix(" "))
    assert not data, "an event without its empty line never arrives"


def _result(reply: Reply, data: bytes) -> JavaResult:
    assert "x-dashscope-outputencrypted" not in reply.headers
    body = json.loads(data)
    output, usage = body["output"], body.get("usage")
    assert isinstance(output, dict), body
    assert "status_code" not in body, "it would stand over the real one"
    assert not body.get("code"), body
    assert usage is None or all(type(count) is int for count in usage.values() if not isinstance(count, dict)), usage
    text, reason = output.get("text"), output.get("finish_reason")
    assert text is None or isinstance(text, str), output
    choices = tuple(_choice(choice) for choice in output.get("choices") or ())
    counts = None if usage is None else {name: count for name, count in usage.items() if type(count) is int}
    return JavaResult(_string(body, "request_id"), text, choices, reason, counts)


def _choice(choice: dict[str, Any]) -> tuple[str, str, str]:
    assert choice.get("index") is None or type(choice["index"]) is int, choice
    message = choice["message"]
    assert all(isinstance(call["type"], str) for call in message.get("tool_calls") or ()), message
    return _string(message, "role"), _string(message, "content"), _string(choice, "finish_reason")


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    assert isinstance(value, str), (name, value)  # a null here makes the SDK lose code, message and all
    return value
