"""Rank the passages of several documents for a question: BM25 on exact global statistics, context, then closeness.

Owns every score of a passage. Pure: reads mapped artifacts, knows no budget, no prompt and no engine. Runs in a reader
process; benchmarks/reading/ranking.py prints the numbers that chose the constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longscroll.documents.artifact import Artifact
from longscroll.documents.query import QueryTerm, read_query
from longscroll.documents.segment import Segment
from longscroll.documents.terms import Lexer
from longscroll.reading.proximity import Occurrences, locate, pair_scores, sentence_coverage, window_scores

K1 = 1.2
B = 0.75
BEFORE_WEIGHT = 0.3  # of the terms that only the passage before has: it often names what this one speaks of
AFTER_WEIGHT = 0.1
PAIR_WEIGHT = 1.0
WINDOW_WEIGHT = 0.8
N_RESCORED = 60
N_COVERING = 5  # best passages that can cover a question
MAX_TERMS = 64  # of a question, the rarest that the documents have; more cost time and change nothing


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


def rank(artifacts: Sequence[Artifact], question: str, *, limit: int = 60, extra_terms: Sequence[str] = ()) -> Ranking:
    """Rank the passages of all artifacts for a question, the best ``limit`` of those that share a term with it.

    Statistics are those of all artifacts together, exactly as if they were one document. ``extra_terms`` are texts
    whose terms join the question's at half weight; they do not count for coverage. About 5 ms for a hundred artifacts.
    """
    collection = _Collection(artifacts)
    asked = collection.ask(read_query(question, Lexer(cache_bits=10), borrowed=extra_terms))
    scores = collection.bm25(asked)
    best = _best(scores, collection.beside(scores), max(limit, N_RESCORED))
    places = [collection.place(i) for i in best.tolist()]
    found = locate([artifacts[document].passage_text(i) for document, i in places[:N_RESCORED]], asked.terms)
    totals = scores[best] + collection.context_scores(asked, best)
    totals[:N_RESCORED] += PAIR_WEIGHT * pair_scores(found, asked.terms, asked.weights)
    totals[:N_RESCORED] += WINDOW_WEIGHT * window_scores(found, asked.weights)
    order = np.lexsort((best, -totals))
    return Ranking(
        [Hit(places[i][0], places[i][1], float(totals[i])) for i in order[:limit].tolist()],
        {term.text: float(weight) for term, weight in zip(asked.terms, asked.weights, strict=True)},
        _coverage(found, order[order < N_RESCORED][:N_COVERING].tolist(), asked),
    )


class _Asked(NamedTuple):
    """The terms of a question that count, and every posting of them: three parallel arrays."""

    terms: tuple[QueryTerm, ...]
    weights: NDArray[np.float64]
    passages: NDArray[np.intp]
    of_terms: NDArray[np.intp]  # positions among ``terms``
    scores: NDArray[np.float64]  # what a term adds to the passage's BM25 score


class _Postings(NamedTuple):
    """Which stretch of which segment's postings belongs to which term; parallel arrays."""

    segments: NDArray[np.intp]
    terms: NDArray[np.intp]
    starts: NDArray[np.intp]
    stops: NDArray[np.intp]


class _Collection:
    """The documents of one question as one numbering of passages, with their statistics added up."""

    def __init__(self, artifacts: Sequence[Artifact]) -> None:
        owned = [(document, segment) for document, artifact in enumerate(artifacts) for segment in artifact.segments]
        self._documents = [document for document, _ in owned]
        self._segments = [segment for _, segment in owned]
        self._bases = np.cumsum([0, *(len(segment.lengths) for segment in self._segments)])
        self._lengths = np.concatenate([np.zeros(0, np.uint16), *(segment.lengths for segment in self._segments)])
        is_first = np.diff(self._documents, prepend=-1) != 0
        self._follows = np.ones(len(self._lengths) + 1, dtype=bool)  # the passage before is in the same document
        self._follows[self._bases[:-1][is_first]] = False
        self._follows[-1:] = False

    def ask(self, query: tuple[QueryTerm, ...]) -> _Asked:
        """Look the terms up in every segment and weigh them by the statistics of all."""
        n = len(self._lengths)
        postings = self._look_up(query)
        df = np.bincount(postings.terms, weights=postings.stops - postings.starts, minlength=len(query))
        weights = np.log1p((n - df + 0.5) / (df + 0.5)) * [term.weight for term in query]
        by_weight = np.argsort(-weights, kind="stable")
        is_found = df[by_weight] > 0
        kept = np.sort(np.concatenate((by_weight[is_found][:MAX_TERMS], by_weight[~is_found][:MAX_TERMS])))
        chosen = np.isin(postings.terms, kept)
        postings = _Postings(*(column[chosen] for column in postings))
        of_terms = np.repeat(np.searchsorted(kept, postings.terms), postings.stops - postings.starts)
        passages, scores = self._score(postings, weights[kept][of_terms])
        return _Asked(tuple(query[i] for i in kept.tolist()), weights[kept], passages, of_terms, scores)

    def bm25(self, asked: _Asked) -> NDArray[np.float64]:
        """Score every passage."""
        return np.bincount(asked.passages, weights=asked.scores, minlength=len(self._lengths)).astype(np.float64)

    def beside(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the passages before and after each one may add to its score at the most."""
        before = np.where(self._follows[:-1], np.roll(scores, 1), 0.0)
        after = np.where(self._follows[1:], np.roll(scores, -1), 0.0)
        return BEFORE_WEIGHT * before + AFTER_WEIGHT * after

    def context_scores(self, asked: _Asked, passages: NDArray[np.intp]) -> NDArray[np.float64]:
        """Score passages by the terms that stand in a neighbor and not in themselves."""
        rows = np.full(len(self._lengths) + 2, -1, dtype=np.intp)  # by passage, shifted by one
        around = np.unique(np.concatenate((passages, passages + 1, passages + 2)))
        rows[around] = np.arange(len(around))
        here = rows[asked.passages + 1]
        table = np.zeros((len(around), len(asked.terms)))
        table[here[here >= 0], asked.of_terms[here >= 0]] = asked.scores[here >= 0]
        before, own, after = (table[rows[passages + shift]] for shift in range(3))
        from_before = np.where(own == 0, before, 0.0).sum(axis=1) * self._follows[passages]
        from_after = np.where(own == 0, after, 0.0).sum(axis=1) * self._follows[passages + 1]
        scores: NDArray[np.float64] = BEFORE_WEIGHT * from_before + AFTER_WEIGHT * from_after
        return scores

    def place(self, i: int) -> tuple[int, int]:
        """Return the document of a passage, and its number there."""
        at = int(np.searchsorted(self._bases, i, side="right")) - 1
        return self._documents[at], self._segments[at].first_passage + i - int(self._bases[at])

    def _look_up(self, query: tuple[QueryTerm, ...]) -> _Postings:
        keys = np.array([term.key for term in query], dtype=np.uint64)
        found = [_find(segment, keys) for segment in self._segments]
        counts = [len(terms) for terms, _, _ in found]
        terms, starts, stops = (
            np.concatenate([np.zeros(0, np.intp), *(part[i] for part in found)]).astype(np.intp) for i in range(3)
        )
        return _Postings(np.repeat(np.arange(len(found)), counts), terms, starts, stops)

    def _score(self, postings: _Postings, weights: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the passage of each posting and what it adds to the passage's score."""
        segments, _, starts, stops = postings
        if not len(segments):
            return np.zeros(0, dtype=np.intp), np.zeros(0)
        slices = list(zip(segments.tolist(), starts.tolist(), stops.tolist(), strict=True))
        docs = np.concatenate([self._segments[s].docs[a:b] for s, a, b in slices])
        tf = np.concatenate([self._segments[s].tfs[a:b] for s, a, b in slices]).astype(np.float64)
        passages = docs + np.repeat(self._bases[segments], stops - starts)
        relative = self._lengths[passages] / max(1.0, float(self._lengths.mean()))
        return passages, weights * tf * (K1 + 1) / (tf + K1 * (1 - B + B * relative))


def _find(segment: Segment, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any]]:
    """Find the keys that a segment has, and where their postings start and stop."""
    at = segment.keys.searchsorted(keys)
    terms = (segment.keys.take(at, mode="clip") == keys).nonzero()[0] if len(segment.keys) else at[:0]
    at = at[terms]
    return terms, segment.indptr.take(at), segment.indptr.take(at + 1)


def _best(scores: NDArray[np.float64], beside: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Pick the passages with the highest sums, among those with a score; best first, equal ones in document order."""
    candidates = np.flatnonzero(scores)
    sums = scores[candidates] + beside[candidates]
    if len(candidates) > n:
        threshold = np.partition(sums, len(sums) - n)[len(sums) - n]
        candidates, sums = candidates[sums >= threshold], sums[sums >= threshold]
    return candidates[np.argsort(-sums, kind="stable")][:n]


def _coverage(found: Occurrences, texts: Sequence[int], asked: _Asked) -> float:
    own = np.where([term.is_borrowed for term in asked.terms], 0.0, asked.weights)
    total = float(own.sum())
    return max((sentence_coverage(found, text, own) for text in texts), default=0.0) / total if total else 0.0
