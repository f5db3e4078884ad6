"""A summary of whole documents without a model: the sentences, or passages, that stand for the rest.

Owns the choice: equal parts of each document, in each the passages nearest to the document's own centroid, of these
the sentences nearest to theirs that do not repeat each other. Pure; reads mapped artifacts; knows no prompt, no engine
and no question. Cost follows the number of quotes, not the length of the text: a passage is decoded only when the
segment's statistics speak for it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longscroll.documents.artifact import Artifact
from longscroll.engines.sentences import MAX_SENTENCE, cjk_share, one_line, sentence_spans
from longscroll.engines.terms import content_terms
from longscroll.types import Span

MAX_PARTS = 10
"""Parts of one document; a summary of more is no summary."""
MAX_DOCUMENTS = 30
"""Documents that are quoted; of a longer list the first ones."""
TOKENS_A_QUOTE = 250
"""A short document gives a quote for so many tokens, and two."""
_PASSAGES_A_PART = 3
_CENTRAL_TERMS = 120
_DIVERSITY = 0.3
_LEAD_BONUS = 0.1
_HANGING = 0.08  # off for a sentence that points back or speaks


class Pick(NamedTuple):
    """A stretch of one document that stands for a part of it."""

    document: int
    span: Span
    score: float


class _Sentence(NamedTuple):
    span: Span
    text: str
    part: int
    bonus: float


def pick_sentences(artifacts: Sequence[Artifact]) -> list[Pick]:
    """Pick the sentences that summarize documents, in document order: up to 10 for one, at least one for each of 30."""
    shown = artifacts[:MAX_DOCUMENTS]
    n_quotes = max(1, min(MAX_PARTS, 24 // len(shown))) if shown else 0
    return [Pick(d, *found) for d, artifact in enumerate(shown) for found in _sentences_of(artifact, n_quotes)]


def pick_passages(artifacts: Sequence[Artifact], budget: int, header_tokens: int) -> list[tuple[int, int]]:
    """Pick the passages (document, number) that span the documents, in document order, within a budget of tokens."""
    if not artifacts:
        return []
    chosen: list[tuple[int, int]] = []
    for document, artifact in enumerate(artifacts):
        left = budget // len(artifacts)
        ranked = _spread(_centrality(artifact), n_parts=max(1, left // 600))
        for passage in ranked:
            cost = artifact.passage_tokens(passage) + header_tokens
            if cost <= left:
                chosen.append((document, passage))
                left -= cost
    return sorted(chosen)


def _sentences_of(artifact: Artifact, n_quotes: int) -> list[tuple[Span, float]]:
    n_quotes = min(n_quotes, 2 + artifact.meta.n_tokens // TOKENS_A_QUOTE)
    n_parts = min(n_quotes, artifact.n_passages)
    edges = np.linspace(0, artifact.n_passages, n_parts + 1).astype(int).tolist()
    central = _centrality(artifact)
    places: list[tuple[int, int, bool]] = []
    for part, (first, stop) in enumerate(pairwise(edges)):
        near = first + np.argsort(-central[first:stop], kind="stable")[:_PASSAGES_A_PART]
        places += [(passage, part, passage == first) for passage in sorted({first, *near.tolist()})]
    pool = _pool(artifact, places, is_quotable) or _pool(artifact, places, _says_something)
    return sorted(_choose(pool, _shares(n_quotes, n_parts)))


def _shares(n_quotes: int, n_parts: int) -> list[int]:
    """How many sentences each part gives; the first parts give more when there are fewer parts than quotes."""
    return [n_quotes // n_parts + (part < n_quotes % n_parts) for part in range(n_parts)]


def _pool(
    artifact: Artifact, places: Sequence[tuple[int, int, bool]], is_good: Callable[[str], bool]
) -> list[_Sentence]:
    """Collect the good sentences of passages, given as (passage, part, whether it opens the part)."""
    pool: list[_Sentence] = []
    for passage, part, is_lead in places:
        text, base = artifact.passage_text(passage), artifact.passage_span(passage)[0]
        for i, (start, stop) in enumerate(sentence_spans(text)):
            shown = one_line(text[start:stop])
            if is_good(shown):
                bonus = _LEAD_BONUS / (1 + i) if is_lead else 0.0
                bonus -= _HANGING if _HANGS.match(shown) else 0.0
                pool.append(_Sentence((base + start, base + stop), shown, part, bonus))
    return pool


def _says_something(text: str) -> bool:
    """Tell whether a line has words at all: the measure for poems, tables and lists."""
    return len(text) <= MAX_SENTENCE and sum(letter.isalpha() for letter in text) >= 4


def is_quotable(text: str) -> bool:
    """Tell whether a line is a sentence that can stand in a summary: no heading, table row, imprint or fragment."""
    is_cjk = cjk_share(text) > 0.3
    low, high = (14, 160) if is_cjk else (40, 380)
    if not low <= len(text) <= high or text[0].islower() or _BOILERPLATE.search(text):
        return False
    letters = sum(letter.isalpha() for letter in text)
    return text.rstrip("”’」』\"')）]】")[-1:] in ".。!！;；" and letters > 0.7 * sum(
        not letter.isspace() for letter in text
    )


def _choose(pool: Sequence[_Sentence], wanted: Sequence[int]) -> list[tuple[Span, float]]:
    """Choose ``wanted[part]`` sentences of each part by centrality, less what is said already (MMR)."""
    if not pool:
        return []
    vectors = _vectors([sentence.text for sentence in pool])
    centroid = vectors.mean(axis=0)
    centroid /= np.linalg.norm(centroid)
    bonuses = np.array([sentence.bonus for sentence in pool], dtype=np.float32)
    score: NDArray[np.float32] = vectors @ centroid + bonuses
    parts = np.array([sentence.part for sentence in pool])
    said = np.zeros(len(pool), dtype=np.float32)
    chosen: list[tuple[Span, float]] = []
    for part, n in enumerate(wanted):
        for _ in range(n):
            value = np.where((parts == part) & (said < 0.85), (1 - _DIVERSITY) * score - _DIVERSITY * said, -np.inf)
            best = int(np.argmax(value))
            if not math.isfinite(value[best]):
                break
            chosen.append((pool[best].span, float(score[best])))
            said = np.maximum(said, vectors @ vectors[best])
    return chosen


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Make unit TF-IDF vectors over the terms that at least two of the texts share."""
    counts = [Counter(content_terms(text)) for text in texts]
    df = Counter(term for terms in counts for term in terms)
    shared = {term: i for i, term in enumerate(term for term, n in df.items() if n > 1)}
    vectors = np.zeros((len(texts), len(shared) + 1), dtype=np.float32)
    for row, terms in enumerate(counts):
        for term, n in terms.items():
            if term in shared:
                vectors[row, shared[term]] = (1 + math.log(n)) * math.log(1 + len(texts) / df[term])
        vectors[row, -1] = 0.1  # a sentence that shares nothing still has a direction
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _centrality(artifact: Artifact) -> NDArray[np.float64]:
    """Score every passage by the document's most characteristic terms, from the segments alone."""
    scores = np.zeros(artifact.n_passages)
    for segment in artifact.segments:
        n = len(segment.lengths)
        if n < 2:
            continue
        df = np.diff(segment.indptr.astype(np.float64))
        salience = df * np.log((n + 1) / (df + 0.5))
        salience[(df < 2) | (df > 0.6 * n)] = 0
        top = np.argpartition(-salience, min(_CENTRAL_TERMS, len(salience) - 1))[:_CENTRAL_TERMS]
        own = np.zeros(n)
        for term in top.tolist():
            if salience[term] > 0:
                rows = slice(int(segment.indptr[term]), int(segment.indptr[term + 1]))
                own[segment.docs[rows]] += math.log((n + 1) / df[term]) * (1 + np.log(segment.tfs[rows]))
        own /= np.sqrt(np.maximum(segment.lengths.astype(np.float64), 50))
        scores[segment.first_passage : segment.first_passage + n] = own
    return scores


def _spread(central: NDArray[np.float64], n_parts: int) -> list[int]:
    """Order passages so that every prefix spans the document: the best of each part first, then the second best."""
    n = len(central)
    edges = np.linspace(0, n, min(n, n_parts) + 1).astype(int).tolist()
    ranked = [(first + np.argsort(-central[first:stop], kind="stable")).tolist() for first, stop in pairwise(edges)]
    rounds = max(map(len, ranked), default=0)
    return [0, *(part[i] for i in range(rounds) for part in ranked if i < len(part) and part[i])]


_HANGS = re.compile(
    r"(?:He|She|It|They|This|These|Those|That|His|Her|Its|Their|However|But|And|So|Then|Thus|Also|Therefore)\b|[“\"‘「『]"
    r"|[他她它其此该这那]|但|而|因此|所以|于是|然而|却|又|且|也"
)
_BOILERPLATE = re.compile(
    r"\.{4,}|…{3,}|(?:\. ){4,}|©|\(c\) \d|copyright|all rights reserved|isbn|issn|https?://|www\.|版权|翻印|未经许可|书号|@",
    re.IGNORECASE,
)
