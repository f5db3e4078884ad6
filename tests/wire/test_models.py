"""The models of both surfaces, over a socket: only names that would answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factories.wire import WireService


def get(service: WireService, path: str) -> tuple[int, Any]:
    reply = service.exchange("GET", path)
    return reply.status, json.loads(reply.body)


@pytest.mark.item(91)
def test_the_compat_list_has_what_would_answer(service: WireService) -> None:
    _, body = get(service, "/compatible-mode/v1/models")
    names = ["qwen-long", "qwen-long-latest", "other-model", "org/model"]
    assert [model["id"] for model in body["data"]] == [
        *names,
        "text-embedding-v4",
        "embedder",
        "gte-rerank-v2",
        "ranker",
    ]


@pytest.mark.item(91, 113)
@pytest.mark.parametrize("path", ["/v1/models/org/model", "/v1/models/org%2Fmodel"])
def test_a_name_with_a_slash_can_be_retrieved(service: WireService, path: str) -> None:
    expected = {"id": "org/model", "object": "model", "created": 1700000000, "owned_by": "longscroll"}
    assert get(service, path) == (200, expected)


@pytest.mark.item(91)
@pytest.mark.parametrize("name", ["qwen-short", "chatyuan-large-v2"])
def test_what_would_not_answer_is_not_there(service: WireService, name: str) -> None:
    statuses = [get(service, f"{base}/models/{name}")[0] for base in ("/v1", "/api/v1")]
    assert statuses == [404, 404]
    assert get(service, f"/api/v1/models?model={name}")[1]["output"]["models"] == []


@pytest.mark.item(91)
def test_the_native_list_is_numbered(service: WireService) -> None:
    _, body = get(service, "/api/v1/models?page_no=4&page_size=1")
    model = {"model": "org/model", "name": "org/model", "provider": "longscroll", "opensource": False}
    assert body["output"] == {"total": 8, "page_no": 4, "page_size": 1, "models": [model]}


@pytest.mark.item(91)
def test_a_native_model_is_found_by_query_and_by_path(service: WireService) -> None:
    by_query = get(service, "/api/v1/models?model=qwen-long")[1]["output"]["models"]
    assert by_query == [get(service, "/api/v1/models/qwen-long")[1]["output"]]
