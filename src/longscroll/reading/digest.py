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
PASSAGE_TOKENS = 600
"""Room that one passage and its header may take, about."""
MAX_DOCUMENTS = 30
"""Documents that are quoted; of a longer list the first ones."""
TOKENS_A_QUOTE = 120
"""A short document gives a quote for so many tokens, and two."""
MIN_LETTERS = 0.8
"""Share of the visible characters that are letters; formulas, tables and listings have less."""
_PASSAGES_A_PART = 3
_OPENING_PASSAGES = 4  # a book's cover and imprint stand before its first sentences
_CENTRAL_TERMS = 120
_DIVERSITY = 0.3
_LEAD_BONUS = 0.1
_OPENING_BONUS = 0.15  # of the document's first sentences: title page, abstract, introduction
_TELLING_BONUS = 0.15  # of a sentence that says what the text is about
_HANGING = 0.08  # off for a sentence that points back or speaks
_FOREIGN = 0.3  # off for a sentence in another script than most of the document
_SHORT = 0.1  # off for a sentence so short that it hardly says anything


class Pick(NamedTuple):
    """A stretch of one document that stands for a part of it."""

    document: int
    span: Span
    score: float


class _Stretch(NamedTuple):
    """A passage, as far as it lies in a part."""

    passage: int
    number: int  # of the part
    part: Span
    is_lead: bool  # the part opens with it


class _Sentence(NamedTuple):
    span: Span
    text: str
    part: int
    bonus: float


def pick_sentences(artifacts: Sequence[Artifact]) -> list[Pick]:
    """Pick the sentences that summarize documents, in order, none twice: up to 10 for one, at least one for each of 30.

    A document whose every pick was said by one before it gives none.
    """
    shown = artifacts[:MAX_DOCUMENTS]
    n_quotes = max(1, min(MAX_PARTS, 24 // len(shown))) if shown else 0
    picks, said = list[Pick](), set[str]()
    for document, artifact in enumerate(shown):
        for span, score in _sentences_of(artifact, n_quotes):
            text = one_line(artifact.text(span))
            if text not in said:
                said.add(text)
                picks.append(Pick(document, span, score))
    return picks


def pick_passages(artifacts: Sequence[Artifact], budget: int, header_tokens: int) -> list[tuple[int, int]]:
    """Pick the passages (document, number) that span the documents, in document order, within a budget of tokens."""
    chosen: list[tuple[int, int]] = []
    shown = artifacts[: max(1, budget // PASSAGE_TOKENS)]  # of more documents than passages, the first ones
    for document, artifact in enumerate(shown):
        left = budget // len(shown)
        ranked = _spread(_centrality(artifact), n_parts=max(1, left // PASSAGE_TOKENS))
        for passage in ranked:
            cost = artifact.passage_tokens(passage) + header_tokens
            if cost <= left:
                chosen.append((document, passage))
                left -= cost
    return sorted(chosen)


def _sentences_of(artifact: Artifact, n_quotes: int) -> list[tuple[Span, float]]:
    n_quotes = min(n_quotes, 2 + artifact.meta.n_tokens // TOKENS_A_QUOTE)
    parts = _parts(artifact, n_quotes)
    central = _centrality(artifact)
    n_leads = [_OPENING_PASSAGES if number == 0 and len(parts) > 2 else 1 for number in range(len(parts))]
    stretches = [s for n, part in enumerate(parts) for s in _stretches(artifact, (n, part), central, n_leads[n])]
    pool = _pool(artifact, stretches, is_quotable) or _pool(artifact, stretches, _says_something)
    return sorted(_choose(pool, _shares(n_quotes, len(parts))))


def _parts(artifact: Artifact, n_quotes: int) -> list[Span]:
    """Divide a document: a short one at its pages and sections, a longer one evenly."""
    whole = (0, artifact.meta.n_chars)
    breaks = artifact.breaks_in(whole)
    if not 0 < len(breaks) < n_quotes:
        breaks = np.linspace(*whole, n_quotes + 1).astype(int).tolist()[1:-1]
    return [part for part in pairwise((whole[0], *breaks, whole[1])) if part[0] < part[1]]


def _stretches(
    artifact: Artifact, numbered: tuple[int, Span], central: NDArray[np.float64], n_leads: int
) -> list[_Stretch]:
    """Pick the passages of a part that are worth decoding: those it opens with, and the most central."""
    number, part = numbered
    first, stop = artifact.passage_at(part[0]), artifact.passage_at(part[1] - 1) + 1
    leads = range(first, min(stop, first + n_leads))
    near = first + np.argsort(-central[first:stop], kind="stable")[:_PASSAGES_A_PART]
    return [_Stretch(n, number, part, n in leads) for n in sorted({*leads, *near.tolist()})]


def _shares(n_quotes: int, n_parts: int) -> list[int]:
    """How many sentences each part gives; the first parts give more when there are fewer parts than quotes."""
    return [n_quotes // n_parts + (part < n_quotes % n_parts) for part in range(n_parts)]


def _pool(artifact: Artifact, stretches: Sequence[_Stretch], is_good: Callable[[str], bool]) -> list[_Sentence]:
    """Collect the good sentences of passages, those that begin in the part."""
    pool: list[_Sentence] = []
    for passage, part, (first, stop), is_lead in stretches:
        text, base = artifact.passage_text(passage), artifact.passage_span(passage)[0]
        own = [(a, b) for a, b in sentence_spans(text) if first <= base + a < stop]
        for i, (a, b) in enumerate(own):
            shown = one_line(text[a:b])
            if is_good(shown):
                lead = (_LEAD_BONUS + _OPENING_BONUS * (part == 0)) / (1 + i / 4) if is_lead else 0.0
                pool.append(_Sentence((base + a, base + b), shown, part, lead + _manner(shown)))
    return _without_foreign(pool)


def _manner(text: str) -> float:
    """Say how well a sentence stands alone: what it gains or loses for its wording."""
    value = _TELLING_BONUS if _TELLS.search(text) else 0.0
    value -= _HANGING if _HANGS.match(text) else 0.0
    return value - (_SHORT if len(text) < (25 if is_cjk_text(text) else 70) else 0.0)


def _without_foreign(pool: Sequence[_Sentence]) -> list[_Sentence]:
    """Push back sentences in another script than most of the document: a licence, an English abstract, a listing."""
    cjk = [is_cjk_text(sentence.text) for sentence in pool]
    most = sum(cjk) * 2 > len(pool)
    return [
        sentence if own == most else sentence._replace(bonus=sentence.bonus - _FOREIGN)
        for sentence, own in zip(pool, cjk, strict=True)
    ]


def is_cjk_text(text: str) -> bool:
    """Tell whether a sentence is Chinese: a third of its letters are Han characters."""
    return cjk_share(text) > 0.33


def _says_something(text: str) -> bool:
    """Tell whether a line has words at all: the measure for poems, tables and lists."""
    return len(text) <= MAX_SENTENCE and sum(letter.isalpha() for letter in text) >= 4


def is_quotable(text: str) -> bool:
    """Tell whether a line is a sentence that can stand in a summary: no heading, table row, imprint or fragment."""
    low, high = (14, 160) if is_cjk_text(text) else (40, 380)
    if not low <= len(text) <= high or _UNFIT_START.match(text) or _BOILERPLATE.search(text):
        return False
    visible = [letter for letter in text if not letter.isspace()]
    n_letters = sum(map(str.isalpha, visible))
    return text.rstrip("”’」』\"')）]】")[-1:] in ".。!！;；" and n_letters > MIN_LETTERS * len(visible)


def _choose(pool: Sequence[_Sentence], wanted: Sequence[int]) -> list[tuple[Span, float]]:
    """Choose ``wanted[part]`` sentences of each part by centrality, less what is said already (MMR)."""
    if not pool:
        return []
    vectors = _vectors([sentence.text for sentence in pool])
    centroid = vectors.mean(axis=0)
    centroid /= np.linalg.norm(centroid) or 1.0
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
            said[best] = 1
    return chosen


def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Make TF-IDF vectors of unit length; a term of one text alone counts for its length only, being like no other."""
    counts = [Counter(content_terms(text)) for text in texts]
    df = Counter(term for terms in counts for term in terms)
    shared = {term: i for i, term in enumerate(term for term, n in df.items() if n > 1)}
    vectors = np.zeros((len(texts), len(shared)), dtype=np.float32)
    for row, terms in enumerate(counts):
        weights = {term: (1 + math.log(n)) * math.log(1 + len(texts) / df[term]) for term, n in terms.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        for term, weight in weights.items():
            if term in shared:
                vectors[row, shared[term]] = weight / length
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


_TELLS = re.compile(
    r"\b(?:this|the present) (?:paper|article|chapter|section|report|book|study|document|guide|manual|work)\b"
    r"|\bwe (?:present|propose|describe|show|introduce|report|argue|conclude|find|found)\b"
    r"|\b(?:in (?:summary|conclusion|short)|results? (?:show|suggest)|the (?:purpose|aim|goal|main)|consists? of)\b"
    r"|(?:本|该|这[份篇本])(?:文|书|章|节|报告|研究|手册|文档|论文|合同|协议|年度)|我们(?:提出|介绍|认为|发现)"
    r"|(?:旨在|目的是|主要(?:介绍|包括|讨论|内容|原因)|结果表明|综上|总之|概括|分为|由此可见|结论)",
    re.IGNORECASE,
)
_UNFIT_START = re.compile(
    r"[a-z]|[\d.]+[\s.、)）]|[-–—*•·●■▪◦○]|[)）\]】,，.。;；:：]|['\"]?\w+['\"]?\s*[:=] *['\"{\[]|[{\[<#$\\]"
)
_HANGS = re.compile(
    r"(?:He|She|It|They|This|These|Those|That|His|Her|Its|Their|However|But|And|So|Then|Thus|Also|Therefore)\b|[“\"‘「『]"
    r"|[他她它其此该这那]|但|而|因此|所以|于是|然而|却|又|且|也"
)
_BOILERPLATE = re.compile(
    r"\.{4,}|…{3,}|(?:\. ){4,}|©|\(c\) \d|copyright|all rights reserved|isbn|issn|https?://|www\.|版权|翻印|未经许可|书号|@",
    re.IGNORECASE,
)
