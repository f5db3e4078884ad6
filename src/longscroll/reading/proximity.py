"""Where the terms of a question stand in a few passages, and how close together.

Owns the scores that need positions: pairs of neighbors, windows, neighboring sentences. Knows no index: it reads the
text of the passages again, with the index's own term rules, and takes two milliseconds for sixty of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longscroll.documents.query import QueryTerm
from longscroll.documents.terms import (
    PAIRED,
    Folded,
    Lexer,
    RunHash,
    Words,
    find_compounds,
    find_pairs,
    find_words,
    fold,
)

WINDOW = 48  # half words: 24 words, or 48 CJK characters
MAX_GAP = 4  # words between two neighbors of the question that still count as such
_FAR = 1 << 40

_SENTENCE_END = re.compile(r"(?:[。！？!?;；]+[”’」』）\"')]*|\.[\"'”’)\]]*(?=\s)|\n)\s*")


class Occurrences(NamedTuple):
    """Places of the question's terms, ordered by text and place; parallel arrays."""

    texts: NDArray[np.intp]
    terms: NDArray[np.intp]  # positions among the query's terms
    places: NDArray[np.intp]  # in half words from the beginning of all texts
    positions: NDArray[np.intp]  # in the folded texts, laid end to end
    n_texts: int
    folded: Folded


def locate(texts: Sequence[str], query: Sequence[QueryTerm]) -> Occurrences:
    """Find every place of the query's terms in the texts."""
    folded = fold(texts)
    hashes = RunHash(folded.codes)
    words = find_words(folded)
    candidates = _candidates(folded, words, query)
    keys = [Lexer(cache_bits=12).stem_keys(folded, candidates, hashes)]
    positions = [candidates.starts]
    if any(term.kind == "pair" for term in query):
        starts, pair_keys = find_pairs(folded)
        positions.append(starts)
        keys.append(pair_keys)
    if any(term.kind == "compound" for term in query):
        starts, _, compound_keys = find_compounds(folded, words, hashes)
        positions.append(starts)
        keys.append(compound_keys)
    terms, found = _match(np.concatenate(keys), query)
    where = np.concatenate(positions)[found]
    order = np.argsort(where, kind="stable")
    where, terms = where[order], terms[order]
    paired = np.flatnonzero(folded.classes == PAIRED)
    places = 2 * np.searchsorted(words.starts, where) + np.searchsorted(paired, where)
    return Occurrences(_texts_of(where, folded), terms, places, where, len(texts), folded)


def pair_scores(found: Occurrences, query: Sequence[QueryTerm], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score each text by the neighbors of the question that are neighbors there, in order: the lesser weight of each.

    Only for words; pairs of CJK characters are neighbors already.
    """
    scores = np.zeros(found.n_texts)
    words = sorted((term.word, i) for i, term in enumerate(query) if term.kind == "word" and term.word >= 0)
    for (left_word, left), (right_word, right) in pairwise(words):
        gap = right_word - left_word
        if gap <= MAX_GAP:
            texts = _followed(found, left, right, 2 * gap)
            scores[texts] += min(weights[left], weights[right])
    return scores


def window_scores(found: Occurrences, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score each text by its best window: the weights of the distinct terms within WINDOW of each other."""
    scores = np.zeros(found.n_texts)
    if len(found.terms):
        # The places of different texts are kept apart, so that no window spans two.
        places = found.places + found.texts * (WINDOW + 1)
        following = np.full((len(places), len(weights)), _FAR, dtype=np.int64)
        following[np.arange(len(places)), found.terms] = places
        following = np.minimum.accumulate(following[::-1], axis=0)[::-1]
        np.maximum.at(scores, found.texts, (following - places[:, None] < WINDOW) @ weights)
    return scores


def sentence_coverage(found: Occurrences, text: int, weights: NDArray[np.float64]) -> float:
    """Return the largest weight of distinct terms in two neighboring sentences of one text."""
    start, stop = found.folded.starts[text : text + 2].tolist()
    content = found.folded.codes[start:stop].tobytes().decode("utf-32-le", "surrogatepass")
    ends = np.array([match.end() + start for match in _SENTENCE_END.finditer(content)], dtype=np.intp)
    here = np.flatnonzero(found.texts == text)
    sentences = np.searchsorted(ends, found.positions[here], side="right")
    present = np.zeros((len(ends) + 2, len(weights)), dtype=bool)
    present[sentences, found.terms[here]] = True
    return float(((present[:-1] | present[1:]) @ weights).max(initial=0.0))


def _candidates(folded: Folded, words: Words, query: Sequence[QueryTerm]) -> Words:
    """Keep the words that begin like a term of the query: only they need to be stemmed."""
    beginnings = {_beginning(folded_term) for term in query if term.kind == "word" for folded_term in _spellings(term)}
    codes = folded.codes
    second = np.where(words.stops - words.starts > 1, codes[words.starts + 1], 0).astype(np.int64)
    begin = (codes[words.starts].astype(np.int64) << 21) | second
    kept = np.isin(begin, np.array(sorted(beginnings), dtype=np.int64))
    return Words(words.starts[kept], words.stops[kept])


def _spellings(term: QueryTerm) -> tuple[str, ...]:
    codes = fold([term.text]).codes[:-1]
    text = codes.tobytes().decode("utf-32-le", "surrogatepass")
    # A stem's last letter may differ from its words': y becomes i (sky, ski).
    return (text, text[:1] + "y") if len(text) == 2 else (text,)


def _beginning(text: str) -> int:
    return (ord(text[0]) << 21) | (ord(text[1]) if len(text) > 1 else 0)


def _match(keys: NDArray[np.uint64], query: Sequence[QueryTerm]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find which keys are terms of the query: the terms, and the positions among the keys."""
    wanted = np.array([term.key for term in query], dtype=np.uint64)
    order = np.argsort(wanted)
    at = np.searchsorted(wanted[order], keys)
    at[at == len(wanted)] = 0
    found = np.flatnonzero(wanted[order][at] == keys)
    return order[at[found]], found


def _followed(found: Occurrences, left: int, right: int, reach: int) -> NDArray[np.intp]:
    """Find the texts in which a term stands within reach before another."""
    is_left, is_right = found.terms == left, found.terms == right
    if not is_left.any() or not is_right.any():
        return np.zeros(0, dtype=np.intp)
    lefts = found.places[is_left] + found.texts[is_left] * (MAX_GAP * 2 + 1)
    rights = found.places[is_right] + found.texts[is_right] * (MAX_GAP * 2 + 1)
    before = np.searchsorted(lefts, rights) - 1
    is_near = (before >= 0) & (rights - lefts[np.maximum(before, 0)] <= reach)
    return np.unique(found.texts[is_right][is_near])


def _texts_of(positions: NDArray[np.intp], folded: Folded) -> NDArray[np.intp]:
    return np.searchsorted(folded.starts, positions, side="right") - 1
