"""Embed and rank for clients: check → reserve → ask the engine → meter. The only place that orders these.

Knows the sizes that the hosted service documents for its own model names (PROTOCOL.md §8.3, §8.4); what another model
can take is its server's to say. Knows no wire format and no socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec import Struct

from longscroll.access.metering import Metering
from longscroll.engines.vectors import EmbeddingTask, Ranking, RankingTask, Score, Vectors
from longscroll.errors import InputTooLong, InvalidParameter
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.output import ON_LOOP_CHARS
from longscroll.storage.base import UsageRecord
from longscroll.tokens import TokenCounter
from longscroll.types import Operation, SurfaceName, Usage

T = TypeVar("T", Vectors, Ranking)

TOO_MANY = "Value error, batch size is invalid, it should not be larger than {}.: input.{}"
EMPTY = "Value error, it should not be empty.: input.{}"

MAX_DIMENSIONS = 65_536
MAX_DOCUMENTS = 2_048


class Size(Struct, frozen=True):
    """How much one call may bring: rows, and tokens of each; None: as many as the engine takes."""

    n_rows: int
    n_tokens: int | None = None


ANY_SIZE = Size(2_048)
"""Of models that no page documents: OpenAI's limit of rows."""

SIZES = {
    "text-embedding-v1": Size(25, 2_048),
    "text-embedding-v2": Size(25, 2_048),
    "text-embedding-v3": Size(10, 8_192),
    "text-embedding-v4": Size(10, 8_192),
    "gte-rerank": Size(500, 4_000),
    "gte-rerank-v2": Size(500, 4_000),
    "qwen3-rerank": Size(500, 4_000),
}


class Caller(Struct, frozen=True, kw_only=True):
    """Whose request it is."""

    workspace: str
    key_id: str
    request_id: str
    surface: SurfaceName
    is_exempt: bool = False  # from limits, as the lines of a batch are


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """What a client asks, in no protocol's words."""

    caller: Caller
    model: str
    texts: tuple[str, ...]
    n_dimensions: int | None = None


class RankingRequest(Struct, frozen=True, kw_only=True):
    """What a client asks, in no protocol's words."""

    caller: Caller
    model: str
    query: str
    documents: tuple[str, ...]
    n_best: int | None = None  # None: all of them


class _Work(Struct, frozen=True, kw_only=True):
    """One request that has passed its checks."""

    operation: Operation
    caller: Caller
    model: str  # as it was asked for
    found: Model
    n_tokens: int  # as they are counted here
    at: datetime


class Embedded(Struct, frozen=True, kw_only=True):
    """A vector for each text, in their order, and what is billed."""

    vectors: tuple[list[float], ...]
    usage: Usage


class Ranked(Struct, frozen=True, kw_only=True):
    """The best documents, best first, and what is billed."""

    scores: tuple[Score, ...]
    usage: Usage


class VectorService:
    """Embedding and ranking, for every surface."""

    def __init__(self, catalog: ModelCatalog, metering: Metering, counter: TokenCounter) -> None:
        self._catalog = catalog
        self._metering = metering
        self._counter = counter

    async def embed(self, request: EmbeddingRequest) -> Embedded:
        """Make a vector of each text.

        Raises:
            ModelNotFound, ModelUnavailable: nothing stands behind the name.
            InvalidParameter, InputTooLong: too many texts, or one that is empty or too long.
            LimitExceeded: the workspace asks too much of the model.
            EngineError: of the engine.
        """
        asked_at = self._metering.clock()
        model, embedder = self._catalog.embedding(request.model)
        n_tokens = await self._check(request.model, request.texts, "contents")
        work = _Work(
            operation="embedding",
            caller=request.caller,
            model=request.model,
            found=model,
            n_tokens=n_tokens,
            at=asked_at,
        )
        task = EmbeddingTask(model=model.served_name, texts=request.texts, n_dimensions=request.n_dimensions)
        vectors, usage = await self._metered(work, lambda: embedder.embed(task))
        return Embedded(vectors=vectors.vectors, usage=usage)

    async def rank(self, request: RankingRequest) -> Ranked:
        """Score documents by a query; raises as ``embed``."""
        asked_at = self._metering.clock()
        model, ranker = self._catalog.ranking(request.model)
        if not request.query:
            raise InvalidParameter(EMPTY.format("query"), param="query")
        n_tokens = await self._check(request.model, request.documents, "documents")
        [n_query] = await self._counts((request.query,))
        work = _Work(
            operation="rerank",
            caller=request.caller,
            model=request.model,
            found=model,
            n_tokens=n_tokens + n_query * len(request.documents),
            at=asked_at,
        )
        task = RankingTask(model=model.served_name, query=request.query, documents=request.documents)
        ranking, usage = await self._metered(work, lambda: ranker.rank(task))
        return Ranked(scores=ranking.scores[: request.n_best], usage=usage)

    async def _check(self, model: str, texts: Sequence[str], field: str) -> int:
        """Refuse what is over the documented sizes; return the tokens of all texts."""
        size = SIZES.get(model, ANY_SIZE)
        if len(texts) > size.n_rows:
            raise InvalidParameter(TOO_MANY.format(size.n_rows, field), param=field)
        if not texts or not all(texts):
            raise InvalidParameter(EMPTY.format(field), param=field)
        counts = await self._counts(texts)
        if size.n_tokens is not None and max(counts) > size.n_tokens:
            raise InputTooLong(f"Range of input length should be [1, {size.n_tokens}]")
        return sum(counts)

    async def _counts(self, texts: Sequence[str]) -> list[int]:
        if sum(map(len, texts)) <= ON_LOOP_CHARS:
            return self._counter.count_many(texts)
        return await asyncio.to_thread(self._counter.count_many, texts)

    async def _metered(self, work: _Work, ask: Callable[[], Awaitable[T]]) -> tuple[T, Usage]:
        """Ask the engine, with the tokens taken from the minute's allowance; what it counted itself is billed."""
        caller, is_estimated = work.caller, not self._counter.is_exact
        record = UsageRecord(
            request_id=caller.request_id,
            workspace=caller.workspace,
            key_id=caller.key_id,
            model=work.model,
            model_served=work.found.served_name,
            operation=work.operation,
            surface=caller.surface,
            n_input=work.n_tokens,
            is_estimated=is_estimated,
            at=work.at,
        )
        limited_as = None if caller.is_exempt else work.found.name
        async with self._metering.begin(record, limited_as=limited_as) as meter:
            answer = await ask()
            usage = Usage(n_input_tokens=work.n_tokens, n_output_tokens=0, is_estimated=is_estimated)
            if answer.n_tokens is not None:
                usage = Usage(n_input_tokens=answer.n_tokens, n_output_tokens=0)
            await meter.finish(usage)
        return answer, usage
