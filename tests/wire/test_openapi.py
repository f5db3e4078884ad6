"""The description of the interface: valid, whole, and true of real replies."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from factories.routes import all_routes
from factories.wire import KEY, WireService

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
TURNS = [{"role": "user", "content": "hi"}]
HEAD = "Content-Disposition: form-data; name="
FORM = (
    f'--x\r\n{HEAD}"purpose"\r\n\r\nfile-extract\r\n--x\r\n{HEAD}"file"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
).encode()


@pytest.fixture
def document(service: WireService) -> dict[str, Any]:
    reply = service.exchange("GET", "/openapi.json", key=None)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(reply.body)
    return found


def test_it_is_a_valid_document(document: dict[str, Any]) -> None:
    validate(document)


def test_it_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.path.replace("...}", "}")) for route in all_routes()}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert named <= set(document["components"]["schemas"])


def test_no_operation_is_named_twice(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_route_says_what_it_does_and_who_may(document: dict[str, Any]) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert [operation["operationId"] for operation in operations if "summary" not in operation] == []
    opened = {
        path for path, methods in document["paths"].items() if any(op.get("security") == [] for op in methods.values())
    }
    assert opened == {route.path for route in all_routes() if route.is_open}


def test_a_chat_is_described_with_its_stream(document: dict[str, Any]) -> None:
    operation = document["paths"][CHAT]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["allOf"] == [
        {"$ref": "#/components/schemas/ChatCompletionRequest"},
        {"required": ["model", "messages"]},
    ]
    stream = operation["responses"]["200"]["content"]["text/event-stream"]
    assert stream["x-event"] == {"$ref": "#/components/schemas/ChatCompletionChunk"}


def test_an_upload_is_described_as_a_form(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    assert list(content) == ["multipart/form-data"]
    form = document["components"]["schemas"]["UploadForm"]
    assert (form["required"], form["properties"]["file"]) == (
        ["file", "purpose"],
        {"type": "string", "format": "binary"},
    )


def test_parameters_of_a_query_have_their_ranges(document: dict[str, Any]) -> None:
    parameters = {item["name"]: item["schema"] for item in document["paths"]["/v1/files"]["get"]["parameters"]}
    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 2000, "default": 2000}
    assert set(parameters) == {"limit", "after", "order", "purpose", "create_after", "create_before"}


def test_who_has_it_already_is_told_so(service: WireService) -> None:
    tag = service.exchange("GET", "/openapi.json", key=None).headers["etag"]
    again = service.exchange("GET", "/openapi.json", b"", f'If-None-Match: "other", W/{tag}', key=None)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)


def schema_of(document: dict[str, Any], method: str, path: str, status: int) -> dict[str, Any]:
    responses = document["paths"][path][method.lower()]["responses"]
    response = responses[str(status)] if str(status) in responses else responses[f"{status // 100}XX"]
    return {**response["content"]["application/json"]["schema"], "components": document["components"]}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CHAT, {"model": "qwen-long", "messages": TURNS}),
        ("POST", CHAT, {"model": "qwen-long", "messages": []}),
        ("POST", GENERATION, {"model": "qwen-long", "input": {"messages": TURNS}}),
        (
            "POST",
            GENERATION,
            {"model": "qwen-long", "input": {"prompt": "hi"}, "parameters": {"result_format": "text"}},
        ),
        ("POST", GENERATION, {"model": "qwen-short", "input": {"prompt": "hi"}}),
        ("POST", "/v1/files", FORM),
        ("GET", "/v1/files", None),
        ("GET", "/api/v1/files", None),
        ("GET", "/v1/models", None),
        ("GET", "/api/v1/models", None),
        ("GET", "/api/v1/tasks", None),
        ("GET", "/admin/v1/keys", None),
        ("GET", "/admin/v1/usage", None),
        ("POST", "/v1/embeddings", {"model": "text-embedding-v4", "input": ["a", "b"], "encoding_format": "base64"}),
        ("POST", "/v1/rerank", {"model": "gte-rerank-v2", "query": "a", "documents": ["a"], "return_documents": True}),
        ("POST", "/api/v1/tokenizer", {"model": "qwen-long", "input": {"prompt": "a"}}),
        ("GET", "/healthz", None),
    ],
)
def test_real_replies_are_as_described(
    service: WireService, document: dict[str, Any], method: str, path: str, body: Any
) -> None:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    kind = "multipart/form-data; boundary=x" if body is FORM else "application/json"
    reply = service.exchange(method, path, data, f"Content-Type: {kind}", key=KEY)
    schema = schema_of(document, method, path, reply.status)
    assert [error.message for error in OAS31Validator(schema).iter_errors(json.loads(reply.body))] == []
