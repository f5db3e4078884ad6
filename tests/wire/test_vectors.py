"""Embeddings and rerank of both surfaces, over a socket."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from factories.wire import NARROW_KEY, REQUEST_ID, WireService, eventually, request

COMPAT = "/compatible-mode/v1/embeddings"
COMPAT_RERANK = "/compatible-mode/v1/rerank"
NATIVE = "/api/v1/services/embeddings/text-embedding/text-embedding"
NATIVE_RERANK = "/api/v1/services/rerank/text-rerank/text-rerank"
MODEL = "text-embedding-v4"
RANKER = "gte-rerank-v2"


def post(service: WireService, path: str, body: Any, *headers: str, **options: Any) -> tuple[int, Any]:
    reply = service.exchange("POST", path, json.dumps(body).encode(), *headers, **options)
    return reply.status, json.loads(reply.body)


def native(texts: Any, **parameters: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": {"texts": texts}, "parameters": parameters}


def ranking(documents: Any, **parameters: Any) -> dict[str, Any]:
    return {"model": RANKER, "input": {"query": "春天", "documents": documents}, "parameters": parameters}


@pytest.mark.item(117)
def test_the_compat_reply_has_its_vectors_in_order(service: WireService) -> None:
    assert post(service, COMPAT, {"model": MODEL, "input": ["a", "bcd"], "dimensions": 2, "user": "u"}) == (
        200,
        {
            "data": [
                {"embedding": [1.0, 0.5], "index": 0, "object": "embedding"},
                {"embedding": [3.0, 0.5], "index": 1, "object": "embedding"},
            ],
            "model": MODEL,
            "object": "list",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
            "id": REQUEST_ID,
        },
    )


@pytest.mark.item(117)
def test_base64_holds_the_same_numbers(service: WireService) -> None:
    _, body = post(service, "/v1/embeddings", {"model": MODEL, "input": "abc", "encoding_format": "base64"})
    assert struct.unpack("<2f", base64.b64decode(body["data"][0]["embedding"])) == (3.0, 0.5)


@pytest.mark.item(117)
@pytest.mark.parametrize("texts", ["abc", ["abc"]])
def test_the_native_reply_has_its_own_shape(service: WireService, texts: Any) -> None:
    expected = {
        "output": {"embeddings": [{"text_index": 0, "embedding": [3.0, 0.5]}]},
        "usage": {"total_tokens": 7},
        "request_id": REQUEST_ID,
    }
    assert post(service, NATIVE, native(texts, text_type="query", dimension=2, output_type="dense")) == (200, expected)


@pytest.mark.item(117)
def test_the_native_ranking_is_sorted_cut_and_has_its_documents(service: WireService) -> None:
    asked = ranking(["冬天", {"text": "春天"}, "x"], top_n=2, return_documents=True)
    results = [
        {"index": 1, "relevance_score": 1.0, "document": {"text": "春天"}},
        {"index": 0, "relevance_score": 0.5, "document": {"text": "冬天"}},
    ]
    expected = {"output": {"results": results}, "usage": {"total_tokens": 7}, "request_id": REQUEST_ID}
    assert post(service, NATIVE_RERANK, asked) == (200, expected)


@pytest.mark.item(117)
@pytest.mark.parametrize("path", [COMPAT_RERANK, "/v1/rerank"])
def test_the_compat_ranking_has_the_shape_of_its_kin(service: WireService, path: str) -> None:
    assert post(service, path, {"model": RANKER, "query": "春天", "documents": ["x", "春天"]}) == (
        200,
        {
            "results": [{"index": 1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.0}],
            "model": RANKER,
            "object": "list",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
            "id": REQUEST_ID,
        },
    )


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (
            COMPAT,
            {"model": MODEL, "input": [1, 2]},
            "Value error, contents is neither str nor list of str.: input.contents",
        ),
        (COMPAT, {"model": MODEL}, "Value error, contents is neither str nor list of str.: input.contents"),
        (COMPAT, {"model": MODEL, "input": []}, "Value error, it should not be empty.: input.contents"),
        (COMPAT, {"model": MODEL, "input": ""}, "Value error, it should not be empty.: input.contents"),
        (
            COMPAT,
            {"model": MODEL, "input": ["x"] * 11},
            "Value error, batch size is invalid, it should not be larger than 10.: input.contents",
        ),
        (COMPAT, {"model": MODEL, "input": "x", "dimensions": 0}, "Range of dimensions should be [1, 65536]"),
        (
            COMPAT,
            {"model": MODEL, "input": "x", "encoding_format": "int8"},
            'encoding_format should be "float" or "base64".',
        ),
        (COMPAT, {"model": "qwen-long", "input": "x"}, "The model qwen-long is for chat, not for embedding."),
        (NATIVE, native(None), "Value error, contents is neither str nor list of str.: input.contents"),
        (
            NATIVE,
            native("x", output_type="sparse"),
            'output_type should be "dense": this service has no sparse vectors.',
        ),
        (NATIVE, native("x", dimension=-1), "Range of dimension should be [1, 65536]"),
        (NATIVE_RERANK, ranking("x"), "Value error, documents is not a list of str.: input.documents"),
        (NATIVE_RERANK, ranking([3]), "Value error, documents is not a list of str.: input.documents"),
        (NATIVE_RERANK, ranking(["x"], top_n=0), "Range of top_n should be [1, 2048]"),
        (COMPAT_RERANK, {"model": RANKER, "documents": ["x"]}, "Value error, it should not be empty.: input.query"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_in_documented_words(
    service: WireService, path: str, body: Any, words: str
) -> None:
    status, reply = post(service, path, body)
    error = reply.get("error", reply)
    assert (status, error["code"].lower().replace("_", "")[:16], error["message"]) == (400, "invalidparameter", words)


@pytest.mark.parametrize("path", [NATIVE, NATIVE_RERANK])
def test_without_input_the_native_words_are_those_of_generation(service: WireService, path: str) -> None:
    model = MODEL if path == NATIVE else RANKER
    status, reply = post(service, path, {"model": model})
    assert (status, reply["code"]) == (400, "BadRequest.EmptyInput")


@pytest.mark.item(92)
@pytest.mark.parametrize("path", [NATIVE, NATIVE_RERANK])
def test_no_asynchronous_task_is_made(service: WireService, path: str) -> None:
    status, reply = post(service, path, native("x"), "X-DashScope-Async: enable")
    assert (status, reply["message"]) == (403, "Current user api does not support asynchronous calls.")


def test_a_chat_with_a_model_that_embeds_is_refused(service: WireService) -> None:
    turns = [{"role": "user", "content": "hi"}]
    compat = post(service, "/v1/chat/completions", {"model": MODEL, "messages": turns})
    generation = "/api/v1/services/aigc/text-generation/generation"
    theirs = post(service, generation, {"model": MODEL, "input": {"messages": turns}})
    words = f"The model {MODEL} is for embedding, not for chat."
    assert [(compat[0], compat[1]["error"]["message"]), (theirs[0], theirs[1]["message"])] == [(400, words)] * 2


def test_a_key_for_other_models_may_not_embed(service: WireService) -> None:
    status, reply = post(service, COMPAT, {"model": MODEL, "input": "x"}, key=NARROW_KEY)
    assert (status, reply["error"]["code"]) == (403, "Model.AccessDenied")


@pytest.mark.item(46)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPAT, {"model": MODEL, "input": "hang"}),
        (NATIVE, native("hang")),
        (COMPAT_RERANK, {"model": RANKER, "query": "x", "documents": ["hang"]}),
        (NATIVE_RERANK, ranking(["hang"])),
    ],
)
def test_a_client_that_leaves_stops_the_engine(service: WireService, path: str, body: Any) -> None:
    n_asked, n_left = len(service.ruler.asked), service.ruler.n_left
    with service.connect() as connection:
        connection.send(request("POST", path, json.dumps(body).encode()))
        assert eventually(lambda: len(service.ruler.asked) > n_asked)
    assert eventually(lambda: service.ruler.n_left > n_left, within_s=0.25)
