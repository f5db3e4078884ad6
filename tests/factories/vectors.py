"""Embedders and rankers without a model: a vector tells its text's length, a score how much of it the query holds."""

from __future__ import annotations

import asyncio
from datetime import datetime

from longscroll.access.limits import LimitOptions, Limits
from longscroll.access.metering import Metering
from longscroll.engines.vectors import EmbeddingTask, Ranking, RankingTask, Score, Vectors
from longscroll.errors import EngineError
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.vectors import VectorService
from longscroll.storage.memory import MemoryUsage
from longscroll.tokens import EstimatedCounter, TokenCounter

NOON = datetime.fromisoformat("2026-11-21T12:00:00+00:00")


class Ruler:
    """Measures texts; keeps what it was asked. A text "hang" is never done; ``error`` is raised where it is set."""

    def __init__(self, *, n_tokens: int | None = 7) -> None:
        """Count ``n_tokens`` for every task; None: do not tell."""
        self.asked: list[EmbeddingTask | RankingTask] = []
        self.error: EngineError | None = None
        self.n_left = 0  # tasks that nobody waits for any more
        self._n_tokens = n_tokens

    async def embed(self, task: EmbeddingTask) -> Vectors:
        """Return (length, 0.5, …) for each text."""
        await self._take(task, task.texts)
        rest = [0.5] * ((task.n_dimensions or 2) - 1)
        return Vectors(vectors=tuple([float(len(text)), *rest] for text in task.texts), n_tokens=self._n_tokens)

    async def rank(self, task: RankingTask) -> Ranking:
        """Score each document by the part of its characters that the query has too."""
        await self._take(task, task.documents)
        shares = [sum(char in task.query for char in text) / max(1, len(text)) for text in task.documents]
        scores = [Score(index, share) for index, share in enumerate(shares)]
        best_first = tuple(sorted(scores, key=lambda score: -score.relevance))
        return Ranking(scores=best_first, n_tokens=self._n_tokens)

    async def _take(self, task: EmbeddingTask | RankingTask, texts: tuple[str, ...]) -> None:
        self.asked.append(task)
        if "hang" in texts:
            try:
                await asyncio.Event().wait()
            finally:
                self.n_left += 1
        if self.error is not None:
            raise self.error


def vector_models(ruler: Ruler) -> list[Model]:
    """Return a model of each task that measures."""
    return [
        Model(name="text-embedding-v4", aliases=("embedder",), task="embedding", embedder=ruler, served_name="bge-m3"),
        Model(name="gte-rerank-v2", aliases=("ranker",), task="rerank", ranker=ruler, served_name="bge-reranker"),
    ]


def make_vector_service(
    catalog: ModelCatalog,
    *,
    usage: MemoryUsage | None = None,
    limits: tuple[LimitOptions, ...] = (),
    counter: TokenCounter | None = None,
) -> VectorService:
    """Return the service over a catalog."""
    metering = Metering(usage or MemoryUsage(), Limits(limits), clock=lambda: NOON)
    return VectorService(catalog, metering, counter or EstimatedCounter())
