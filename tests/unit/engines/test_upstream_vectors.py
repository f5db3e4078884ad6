"""Embedding and ranking against a server of raw bytes: shapes, order, faults and leaving."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from factories.raw_server import Connection, Handler, RawServer, raw_server
from longscroll.engines.upstream_link import UpstreamOptions
from longscroll.engines.upstream_vectors import UpstreamVectors
from longscroll.engines.vectors import EmbeddingTask, Ranking, RankingTask, Score, Vectors
from longscroll.errors import EngineError, EngineFailed, EngineOverloaded, EngineRefused, ModelUnavailable

TASK = EmbeddingTask(model="bge-m3", texts=("春", "天来了"))
RANKING = RankingTask(model="bge-reranker", query="春天", documents=("冬天", "春天", "spring"))
USAGE = {"prompt_tokens": 4, "total_tokens": 4}


def saying(body: Any, *, status: int = 200) -> Handler:
    async def answer(connection: Connection) -> None:
        await connection.reply(json.dumps(body).encode(), status=status)

    return answer


@asynccontextmanager
async def vectors_at(url: str, **options: Any) -> AsyncIterator[UpstreamVectors]:
    vectors = UpstreamVectors(UpstreamOptions(name="gpu", urls=(url,), **options))
    await vectors.start()
    try:
        yield vectors
    finally:
        await vectors.stop()


async def embedded(body: Any, task: EmbeddingTask = TASK) -> tuple[Vectors, RawServer]:
    async with raw_server(saying(body)) as server, vectors_at(server.url) as vectors:
        return await vectors.embed(task), server


async def ranked(body: Any) -> Ranking:
    async with raw_server(saying(body)) as server, vectors_at(server.url) as vectors:
        return await vectors.rank(RANKING)


@pytest.mark.item(117)
async def test_vectors_come_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2, 0.5]}, {"index": 0, "embedding": [1.0, 0.25]}]
    vectors, server = await embedded({"object": "list", "data": data, "usage": USAGE})
    assert vectors == Vectors(vectors=([1.0, 0.25], [2.0, 0.5]), n_tokens=4)
    [request] = server.requests
    assert request.line == "POST /v1/embeddings HTTP/1.1"
    assert request.body == {"model": "bge-m3", "input": ["春", "天来了"], "encoding_format": "float"}


async def test_dimensions_and_the_operators_own_fields_are_sent() -> None:
    task = EmbeddingTask(model="bge-m3", texts=("春",), n_dimensions=64)
    async with raw_server(saying({"data": [{"embedding": [1.0]}]})) as server:
        async with vectors_at(server.url, served_name="served", extra_body={"priority": 1}) as vectors:
            assert await vectors.embed(task) == Vectors(vectors=([1.0],), n_tokens=None)
        assert server.requests[0].body == {
            "model": "served",
            "input": ["春"],
            "encoding_format": "float",
            "dimensions": 64,
            "priority": 1,
        }


async def test_base64_that_nobody_asked_for_is_read() -> None:
    coded = base64.b64encode(struct.pack("<2f", 1.5, -2.0)).decode()
    data = [{"index": n, "embedding": coded} for n in range(2)]
    vectors, _ = await embedded({"data": data})
    assert vectors.vectors == ([1.5, -2.0], [1.5, -2.0])


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 5, "embedding": [1.0]}],
        [{"index": 0, "embedding": "AAA="}, {"index": 1, "embedding": [1.0]}],
    ],
)
async def test_a_reply_without_a_vector_for_each_text_is_a_failure(data: list[Any]) -> None:
    with pytest.raises(EngineFailed):
        await embedded({"data": data})


@pytest.mark.item(117)
@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"index": n, "relevance_score": score} for n, score in ((2, 0.1), (0, 0.5), (1, 0.9))]},
        [{"index": n, "score": score, "document": "x", "meta_info": {}} for n, score in ((0, 0.5), (1, 0.9), (2, 0.1))],
    ],
    ids=["jina, cohere, vllm, llama-server", "sglang"],
)
async def test_both_shapes_of_a_ranking_are_read_best_first(body: Any) -> None:
    assert (await ranked(body)).scores == (Score(1, 0.9), Score(0, 0.5), Score(2, 0.1))


async def test_a_ranking_is_asked_for_with_all_documents() -> None:
    results = [{"index": n, "relevance_score": 0.5} for n in range(3)]
    async with raw_server(saying({"results": results, "usage": USAGE})) as server:
        async with vectors_at(server.url) as vectors:
            assert (await vectors.rank(RANKING)).n_tokens == 4
        [request] = server.requests
    assert request.line == "POST /v1/rerank HTTP/1.1"
    assert request.body == {"model": "bge-reranker", "query": "春天", "documents": ["冬天", "春天", "spring"]}


@pytest.mark.parametrize("results", [[], [{"index": 0, "relevance_score": 1.0}] * 3, [{"index": n} for n in range(3)]])
async def test_a_reply_without_a_score_for_each_document_is_a_failure(results: list[Any]) -> None:
    with pytest.raises(EngineFailed):
        await ranked({"results": results})


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, EngineRefused, "too long"),
        (404, ModelUnavailable, "no such model"),
        (429, EngineOverloaded, "overloaded"),
        (500, EngineFailed, "HTTP 500"),
    ],
)
async def test_a_refusal_is_translated_as_that_of_a_chat(status: int, error: type[EngineError], words: str) -> None:
    body = {"error": {"message": "<400> InternalError.Algo.InvalidParameter: the text is too long"}}
    async with raw_server(saying(body, status=status)) as server, vectors_at(server.url) as vectors:
        with pytest.raises(error, match=words):
            await vectors.embed(TASK)


async def test_an_error_under_status_200_is_an_error() -> None:
    with pytest.raises(EngineRefused, match="bad input"):
        await embedded({"error": {"message": "bad input", "code": 400}})


async def test_what_is_no_json_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="neither embeddings nor a ranking"):
        await embedded("hello")


async def test_who_leaves_closes_the_servers_connection() -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def wait(connection: Connection) -> None:
        arrived.set()
        await connection.wait_until_left()
        left.set()

    async with raw_server(wait) as server, vectors_at(server.url) as vectors:
        asking = asyncio.create_task(vectors.embed(TASK))
        await arrived.wait()
        asking.cancel()
        async with asyncio.timeout(0.25):
            await left.wait()


async def test_the_next_server_is_asked_where_one_is_away() -> None:
    good = {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}
    async with raw_server(saying({}, status=503)) as away, raw_server(saying(good)) as there:
        vectors = UpstreamVectors(UpstreamOptions(name="gpu", urls=(away.url, there.url)))
        await vectors.start()
        assert (await vectors.embed(TASK)).vectors == ([1.0], [2.0])
        await vectors.stop()
