"""What an engine is that measures texts and writes none: an embedder makes vectors of them, a ranker scores them.

Both get texts and nothing else; they see no document, no file and no workspace.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class EmbeddingTask(Struct, frozen=True, kw_only=True):
    """Texts to be made vectors of, all by one call of the engine."""

    model: str  # as the engine knows it
    texts: tuple[str, ...]
    n_dimensions: int | None = None  # None: as many as the model has


class Vectors(Struct, frozen=True, kw_only=True):
    """A vector for each text, in their order."""

    vectors: tuple[list[float], ...]
    n_tokens: int | None = None  # of all texts, as the engine counted them; None: it does not tell


class RankingTask(Struct, frozen=True, kw_only=True):
    """Documents to be measured by a query."""

    model: str  # as the engine knows it
    query: str
    documents: tuple[str, ...]


class Score(Struct, frozen=True):
    """How well one document fits: its position among those given, and a number that is higher for a better one."""

    index: int
    relevance: float


class Ranking(Struct, frozen=True, kw_only=True):
    """A score for every document, best first."""

    scores: tuple[Score, ...]
    n_tokens: int | None = None  # of all pairs, as the engine counted them; None: it does not tell


class Embedder(Protocol):
    """Who makes vectors."""

    async def embed(self, task: EmbeddingTask) -> Vectors:
        """Make the vectors. Cancelling stops the engine at once.

        Raises:
            EngineError: see the tree.
        """


class Ranker(Protocol):
    """Who scores documents."""

    async def rank(self, task: RankingTask) -> Ranking:
        """Score the documents. Cancelling stops the engine at once.

        Raises:
            EngineError: see the tree.
        """
