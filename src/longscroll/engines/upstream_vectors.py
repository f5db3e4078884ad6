"""Embedding and ranking by a model server that has them: OpenAI's ``/embeddings``, and ``/rerank`` in its two shapes.

Shapes: Jina's and Cohere's, which vLLM and llama-server answer, have ``results`` with ``relevance_score``; SGLang
answers a bare array with ``score``. Knows no client, no limit and no surface; the sockets are in ``upstream_link``.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from longscroll.engines.upstream_errors import error_in_stream
from longscroll.engines.upstream_link import Connections, UpstreamOptions
from longscroll.engines.vectors import EmbeddingTask, Ranking, RankingTask, Score, Vectors
from longscroll.errors import EngineFailed

EMBEDDINGS = "/embeddings"
RERANK = "/rerank"
MAX_BODY_BYTES = 256 << 20
"""Of a reply: 2,048 vectors of 4,096 dimensions, in decimal digits, are about 180 MB."""

_DECODE_ON_LOOP_BYTES = 1 << 18

T = TypeVar("T")


class _Usage(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Embedding(Struct):
    embedding: list[float] | bytes  # bytes: base64 of little-endian float32, which some servers send unasked
    index: int | None = None


class _Embeddings(Struct):
    data: list[_Embedding]
    usage: _Usage | None = None


class _Scored(Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Ranked(Struct):
    results: list[_Scored]
    usage: _Usage | None = None


_embeddings = msgspec.json.Decoder(_Embeddings)
_ranked = msgspec.json.Decoder(_Ranked)
_scored = msgspec.json.Decoder(list[_Scored])


class UpstreamVectors:
    """Embeds and ranks by a model server; which of the two it can do is the server's to know."""

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self._connections = Connections(options)

    async def start(self) -> None:
        """Open the session all requests share."""
        await self._connections.open()

    async def stop(self) -> None:
        """Close every connection; what runs ends in an error."""
        await self._connections.close()

    async def embed(self, task: EmbeddingTask) -> Vectors:
        """Make vectors. Cancelling closes the server's connection at once.

        Raises:
            EngineError: as ``upstream_errors`` translates; EngineFailed when a text has no vector.
        """
        fields: dict[str, Any] = {"input": task.texts, "encoding_format": "float"}
        if task.n_dimensions is not None:
            fields["dimensions"] = task.n_dimensions
        reply = await _decoded(await self._ask(EMBEDDINGS, task.model, fields), _embeddings)
        found = {item.index if item.index is not None else n: item.embedding for n, item in enumerate(reply.data)}
        if sorted(found) != list(range(len(task.texts))) or len(reply.data) != len(found):
            raise EngineFailed("The model server did not send one vector for each text.")
        vectors = tuple(_numbers(found[position]) for position in range(len(task.texts)))
        return Vectors(vectors=vectors, n_tokens=_n_tokens(reply.usage))

    async def rank(self, task: RankingTask) -> Ranking:
        """Score documents. Cancelling closes the server's connection at once.

        Raises:
            EngineError: as ``upstream_errors`` translates; EngineFailed when a document has no score.
        """
        body = await self._ask(RERANK, task.model, {"query": task.query, "documents": task.documents})
        if body.lstrip()[:1] == b"[":
            reply = _Ranked(results=await _decoded(body, _scored))
        else:
            reply = await _decoded(body, _ranked)
        scores = [_score(item) for item in reply.results]
        if sorted(score.index for score in scores) != list(range(len(task.documents))):
            raise EngineFailed("The model server did not send one score for each document.")
        best_first = tuple(sorted(scores, key=lambda score: (-score.relevance, score.index)))
        return Ranking(scores=best_first, n_tokens=_n_tokens(reply.usage))

    async def _ask(self, path: str, model: str, fields: dict[str, Any]) -> bytes:
        options = self._options
        named = {**options.extra_body, "model": options.served_name or model, **fields}
        async with self._connections.answering(path, msgspec.json.encode(named)) as response:
            return await self._connections.whole_body(response, limit=MAX_BODY_BYTES)


async def _decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a reply; a large one in a thread.

    Raises:
        EngineError: an error under status 200, or nothing that these endpoints answer.
    """
    try:
        if len(body) > _DECODE_ON_LOOP_BYTES:
            return await asyncio.to_thread(decoder.decode, body)
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if (told := _error_in(body)) is not None:
            raise error_in_stream(told) from error
        raise EngineFailed("The model server sent something that is neither embeddings nor a ranking.") from error


def _error_in(body: bytes) -> object:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return decoded.get("error") if isinstance(decoded, dict) else None


def _numbers(embedding: list[float] | bytes) -> list[float]:
    if isinstance(embedding, list):
        return embedding
    if len(embedding) % 4:
        raise EngineFailed("The model server sent a vector that is no row of float32.")
    numbers: list[float] = np.frombuffer(embedding, dtype="<f4").tolist()
    return numbers


def _score(item: _Scored) -> Score:
    relevance = item.relevance_score if item.relevance_score is not None else item.score
    if relevance is None:
        raise EngineFailed("The model server sent a result without a score.")
    return Score(item.index, relevance)


def _n_tokens(usage: _Usage | None) -> int | None:
    """Return what the server counted; a zero is what servers say that count nothing."""
    return (usage.total_tokens or usage.prompt_tokens or None) if usage is not None else None
