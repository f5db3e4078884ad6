"""Rank the passages of several documents for a question: BM25 on exact global statistics, then by closeness.

Owns every score of a passage. Pure: reads mapped artifacts, knows no budget, no prompt and no engine. Runs in a reader
process; the numbers that chose the constants are printed by benchmarks/reading/ranking.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longscroll.documents.artifact import Artifact
from longscroll.documents.query import QueryTerm, read_query
from longscroll.documents.segment import Segment
from longscroll.documents.terms import Lexer
from longscroll.reading.proximity import Occurrences, locate, pair_scores, sentence_coverage, window_scores

K1 = 1.2
B = 0.75
PAIR_WEIGHT = 1.0
WINDOW_WEIGHT = 0.8
N_RESCORED = 60
N_COVERING = 5  # best passages that can cover a question
MAX_TERMS = 64  # the rarest of a question; more cost time and change nothing


class Hit(NamedTuple):
    """A passage and its score."""

    document: int  # position among the artifacts
    passage: int
    score: float


class Ranking(NamedTuple):
    """The best passages for a question, and how well they cover it."""

    hits: list[Hit]  # best first; equal scores in document order
    term_weights: dict[str, float]  # term of the question → idf over all the documents, less for what says little
    coverage: float  # 0–1: idf share of the question's terms in two neighboring sentences of the best passages


def rank(
    artifacts: Sequence[Artifact], question: str, *, limit: int = 60, extra_terms: Sequence[str] = ()
) -> Ranking:
    """Rank the passages of all artifacts for a question, the best ``limit`` of those that share a term with it.

    Statistics are those of all artifacts together, exactly as if they were one document. ``extra_terms`` are texts
    whose terms join the question's at half weight; they do not count for coverage. About 5 ms for a hundred artifacts.
    """
    query = read_query(question, Lexer(cache_bits=10), borrowed=extra_terms)
    collection = _Collection(artifacts)
    query, weights, scores = collection.bm25(query)
    best = _best(scores, max(limit, N_RESCORED))
    places = [collection.place(i) for i in best.tolist()]
    texts = [artifacts[document].passage_text(passage) for document, passage in places[:N_RESCORED]]
    totals = scores[best]
    coverage = 0.0
    if texts:
        found = locate(texts, query)
        totals[: len(texts)] += PAIR_WEIGHT * pair_scores(found, query, weights)
        totals[: len(texts)] += WINDOW_WEIGHT * window_scores(found, weights)
    order = np.lexsort((best, -totals))
    if texts:
        covering = [i for i in order.tolist() if i < len(texts)][:N_COVERING]
        coverage = _coverage(found, covering, query, weights)
    hits = [Hit(*places[i], float(totals[i])) for i in order[:limit].tolist()]
    term_weights = {term.text: float(weight) for term, weight in zip(query, weights, strict=True)}
    return Ranking(hits, term_weights, coverage)


class _Collection:
    """The documents of one question as one numbering of passages, with their statistics added up."""

    def __init__(self, artifacts: Sequence[Artifact]) -> None:
        owned = [(document, segment) for document, artifact in enumerate(artifacts) for segment in artifact.segments]
        self._documents = [document for document, _ in owned]
        self._segments = [segment for _, segment in owned]
        self._bases = np.cumsum([0, *(len(segment.lengths) for segment in self._segments)])
        lengths = [segment.lengths for segment in self._segments]
        self._lengths = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.uint16)

    def bm25(
        self, query: tuple[QueryTerm, ...]
    ) -> tuple[tuple[QueryTerm, ...], NDArray[np.float64], NDArray[np.float64]]:
        """Score every passage; return the terms that count, the weight of each, and the scores."""
        n = len(self._lengths)
        postings = self._postings(query)
        df = np.bincount(postings.terms, weights=postings.stops - postings.starts, minlength=len(query))
        weights = np.log1p((n - df + 0.5) / (df + 0.5)) * [term.weight for term in query]
        kept = np.sort(np.argsort(-weights, kind="stable")[:MAX_TERMS])
        scores = self._scores(postings, np.isin(postings.terms, kept), weights)
        return tuple(query[i] for i in kept.tolist()), weights[kept], scores

    def place(self, i: int) -> tuple[int, int]:
        """Return the document of a passage, and its number there."""
        at = int(np.searchsorted(self._bases, i, side="right")) - 1
        return self._documents[at], self._segments[at].first_passage + i - int(self._bases[at])

    def _postings(self, query: tuple[QueryTerm, ...]) -> _Postings:
        keys = np.array([term.key for term in query], dtype=np.uint64)
        found = [_find(segment, keys) for segment in self._segments]
        counts = [len(terms) for terms, _, _ in found]
        columns = [np.concatenate([part[i] for part in found]) if found else np.zeros(0, int) for i in range(3)]
        return _Postings(np.repeat(np.arange(len(found)), counts), *columns)

    def _scores(
        self, postings: _Postings, kept: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        n = len(self._lengths)
        segments, terms, starts, stops = (column[kept] for column in postings)
        if not len(terms):
            return np.zeros(n)
        slices = list(zip(segments.tolist(), starts.tolist(), stops.tolist(), strict=True))
        docs = np.concatenate([self._segments[s].docs[a:b] for s, a, b in slices])
        tf = np.concatenate([self._segments[s].tfs[a:b] for s, a, b in slices]).astype(np.float64)
        counts = stops - starts
        passages = docs + np.repeat(self._bases[segments], counts)
        relative = self._lengths[passages] / max(1.0, float(self._lengths.mean()))
        parts = np.repeat(weights[terms], counts) * tf * (K1 + 1) / (tf + K1 * (1 - B + B * relative))
        return np.bincount(passages, weights=parts, minlength=n)


class _Postings(NamedTuple):
    """Which stretch of which segment's postings belongs to which term; parallel arrays."""

    segments: NDArray[np.intp]
    terms: NDArray[np.intp]
    starts: NDArray[np.intp]
    stops: NDArray[np.intp]


def _find(segment: Segment, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    if not len(segment.keys):
        return (np.zeros(0, dtype=np.intp),) * 3
    at = np.searchsorted(segment.keys, keys)
    at[at == len(segment.keys)] = 0
    terms = np.flatnonzero(segment.keys[at] == keys)
    at = at[terms]
    return terms, segment.indptr[at].astype(np.intp), segment.indptr[at + 1].astype(np.intp)


def _best(scores: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Pick the passages with the highest scores above zero, best first; equal ones in document order."""
    candidates = np.flatnonzero(scores)
    if len(candidates) > n:
        threshold = np.partition(scores[candidates], len(candidates) - n)[len(candidates) - n]
        candidates = candidates[scores[candidates] >= threshold]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:n]


def _coverage(
    found: Occurrences, texts: Sequence[int], query: tuple[QueryTerm, ...], weights: NDArray[np.float64]
) -> float:
    own = np.where([term.is_borrowed for term in query], 0.0, weights)
    total = float(own.sum())
    return max(sentence_coverage(found, text, own) for text in texts) / total if total else 0.0
