"""Which sentence of the evidence answers a question, without a model.

Owns the features of a sentence and their weights. Pure; knows passages, never documents. The weights are plain numbers
fitted on public question sets; benchmarks/reading/answers.py prints what they reach and fits them anew.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter, mul
from typing import NamedTuple

from longscroll.engines.answer_types import AnswerType, answer_type, candidates, has_unit
from longscroll.engines.base import Passage
from longscroll.engines.sentences import one_line, sentence_spans
from longscroll.engines.terms import CJK_STOP, content_terms, is_cjk, stem
from longscroll.types import Span

MAX_QUESTION = 400
"""Characters of a question that are compared letter by letter; its terms come from all of it."""
_MEASURES = re.compile(
    r"\bhow (old|long|far|tall|high|large|big|fast|often|wide|deep|heavy|late|early|soon)\b", re.IGNORECASE
)
MEASURE_WEIGHT = 0.4
"""What counts of "long" in "how long": the answer gives a measure and rarely repeats the word."""
_FULL_STOPS = ".。!！;；?？"
MIN_FUZZY = 4
"""Letters that two words must share to be taken for relatives."""
MAX_ROW = 8
"""Words of a row of a table or a form, at most; more are prose."""
MAX_SCORED = 48
"""Sentences whose costlier features are worth computing: the best by coverage and passage score alone."""


class Features(NamedTuple):
    """What is seen of one sentence; every value is in 0–1."""

    coverage: float  # idf share of the question's terms that the sentence has
    passage: float  # score of its passage, by the best passage's
    is_first: float  # 1 / rank of its passage
    before: float  # share that the sentence before adds
    after: float  # share that the sentence after adds
    around: float  # share that the whole passage has
    local: float  # idf share of its terms, each divided by how many sentences of the passage have it
    earlier: float  # share that the second sentence before adds
    fuzzy: float  # share of missing terms whose first letters it has
    typed: float  # it has an answer of the kind asked for
    typed_number: float
    typed_date: float
    unit: float  # it has a number with the unit asked for
    letters: float  # idf share of the question's single Chinese characters
    copied: float  # longest run of the question's characters that stands in it
    in_order: float  # longest subsequence of the question's terms in the same order
    asks: float  # it is a question itself
    is_open: float  # it has no full stop: a heading, a row, a fragment
    length: float  # up to 400 characters
    row: float  # of a line without a full stop but with a number: share of its words that the question has


LATIN_WEIGHTS = Features(
    coverage=0.129,
    passage=0.093,
    is_first=0.048,
    before=0.097,
    after=0.048,
    around=0.035,
    local=0.113,
    earlier=0.052,
    fuzzy=0.055,
    typed=0.049,
    typed_number=0.028,
    typed_date=0.025,
    unit=0.042,
    letters=0.0,
    copied=0.091,
    in_order=0.085,
    asks=-0.008,
    is_open=0.011,
    length=-0.023,
    row=0.04,
)
CJK_WEIGHTS = Features(
    coverage=0.0,
    passage=0.093,
    is_first=0.077,
    before=0.14,
    after=0.042,
    around=0.046,
    local=0.144,
    earlier=0.057,
    fuzzy=0.0,
    typed=0.038,
    typed_number=0.024,
    typed_date=0.038,
    unit=0.066,
    letters=0.102,
    copied=0.017,
    in_order=0.116,
    asks=-0.017,
    is_open=-0.018,
    length=-0.007,
    row=0.04,
)


class Scored(NamedTuple):
    """One sentence and how well it answers; ``terms`` are the question's terms that it has."""

    passage: Passage
    start: int  # in the passage
    stop: int
    score: float
    terms: frozenset[str]
    features: Features

    @property
    def text(self) -> str:
        """The sentence as it stands in its document."""
        return self.passage.text[self.start : self.stop]

    @property
    def span(self) -> Span:
        """The sentence's span in its document."""
        base = self.passage.span[0]
        return base + self.start, base + self.stop


class Question:
    """A question prepared to be looked for in many sentences.

    ``term_weights`` are the terms it is ranked by (stems, pairs of Chinese characters, compounds) with their idf.
    """

    def __init__(self, text: str, term_weights: Mapping[str, float]) -> None:
        self.text = text[:MAX_QUESTION]
        self.kind: AnswerType = answer_type(self.text)
        self.weights = dict(term_weights)
        for measure in _MEASURES.findall(self.text):
            if (term := stem(measure)) in self.weights:
                self.weights[term] *= MEASURE_WEIGHT
        self.is_cjk = any(is_cjk(term) for term in self.weights)
        self._total = sum(self.weights.values()) or 1.0
        self._literals = [term for term in self.weights if is_cjk(term) or not term.isalnum()]
        roots = sorted({re.escape(_root(term)) for term in self.weights if term not in self._literals})
        self._words = re.compile(rf"\b(?:{'|'.join(roots)})\w*", re.IGNORECASE) if roots else None
        self._order = [term for _, term in self.hits(self.text)]
        letters = {letter for term in self._literals if is_cjk(term) for letter in term} - CJK_STOP
        self._letters = {letter: self._letter_weight(letter) for letter in letters}

    def hits(self, text: str) -> list[tuple[int, str]]:
        """Return where the question's terms stand in a text, in order."""
        found: list[tuple[int, str]] = []
        if self._words is not None:
            words = ((match.start(), stem(match.group())) for match in self._words.finditer(text))
            found += [(at, term) for at, term in words if term in self.weights]
        lower = text.lower()
        for term in self._literals:
            found += [(at, term) for at in _places(lower, term)]
            if len(term) == 2 and "\n" in text:
                found += [(at, term) for at in _places(lower, f"{term[0]}\n{term[1]}")]
        found.sort()
        return found

    def share(self, terms: Iterable[str]) -> float:
        """Share of the question that distinct terms of it make up, by idf."""
        return sum(self.weights[term] for term in terms) / self._total

    def letter_share(self, text: str) -> float:
        """Share of the question's single Chinese characters that a text has, by idf."""
        total = sum(self._letters.values())
        return sum(weight for letter, weight in self._letters.items() if letter in text) / total if total else 0.0

    def local_share(self, terms: Iterable[str], n_having: Mapping[str, int]) -> float:
        """Share of the question that terms make up, each divided by how many sentences have it.

        The subject of a passage stands in many of its sentences; what is asked about it, in few.
        """
        return sum(self.weights[term] / n_having[term] for term in terms) / self._total

    def fuzzy_share(self, text: str, found: Collection[str]) -> float:
        """Share of the question that a lower-case text has by the first letters of words only."""
        missing = (term for term in self.weights if term not in found and len(term) >= MIN_FUZZY and not is_cjk(term))
        return self.share(term for term in missing if f" {term[: max(MIN_FUZZY, len(term) - 3)]}" in text)

    def order_share(self, terms: Sequence[str]) -> float:
        """Share of the question's terms that a sequence has in the question's own order."""
        longest = [0] * (len(terms) + 1)
        for wanted in self._order:
            diagonal = 0
            for i, term in enumerate(terms, 1):
                diagonal, longest[i] = longest[i], (
                    diagonal + 1 if term == wanted else max(longest[i], longest[i - 1])
                )  # fmt: skip
        return longest[-1] / max(1, len(self._order))

    def copied_share(self, text: str) -> float:
        """Share of the question that stands in a text as one run of characters."""
        question, best, start = self.text, 0, 0
        while start + best < len(question):
            while start + best < len(question) and question[start : start + best + 1] in text:
                best += 1
            start += 1
        return best / max(1, len(question))

    def _letter_weight(self, letter: str) -> float:
        found = [weight for term, weight in self.weights.items() if letter in term]
        return sum(found) / len(found)


class _Sentence(NamedTuple):
    passage: Passage
    rank: int
    start: int
    stop: int
    found: list[str]  # the question's terms in it, in order, with repeats
    coverage: float
    before: float
    after: float
    around: float
    local: float
    earlier: float


def score_sentences(question: Question, passages: Sequence[Passage]) -> list[Scored]:
    """Score the sentences of passages (best first) that share a term with the question; returns them best first."""
    if not passages:
        return []
    best = max(passage.score for passage in passages) or 1.0
    sentences = [s for rank, passage in enumerate(passages, 1) for s in _sentences_of(question, passage, rank)]
    sentences.sort(key=lambda s: s.coverage + 0.5 * s.before + 0.4 * s.passage.score / best, reverse=True)
    weights = CJK_WEIGHTS if question.is_cjk else LATIN_WEIGHTS
    scored = [_score(question, sentence, best, weights) for sentence in sentences[:MAX_SCORED]]
    return sorted(scored, key=attrgetter("score"), reverse=True)


def _sentences_of(question: Question, passage: Passage, rank: int) -> list[_Sentence]:
    hits = question.hits(passage.text)
    if not hits:
        return []
    spans = sentence_spans(passage.text)
    found = _by_sentence(spans, hits)
    sets = [frozenset(), frozenset(), *map(frozenset, found), frozenset()]
    n_having = Counter(term for terms in sets for term in terms)
    around = question.share(n_having)
    sentences = []
    for (start, stop), terms, (earlier, before, own, after) in zip(spans, found, _fours(sets), strict=True):
        if own:
            sentence = _Sentence(
                passage, rank, start, stop, terms,
                coverage=question.share(own),
                before=question.share(before - own),
                after=question.share(after - own),
                around=around,
                local=question.local_share(own, n_having),
                earlier=question.share(earlier - before - own),
            )  # fmt: skip
            sentences.append(sentence)
    return sentences


def _fours(sets: Sequence[frozenset[str]]) -> Iterable[tuple[frozenset[str], ...]]:
    return zip(sets, sets[1:], sets[2:], sets[3:], strict=False)


def _by_sentence(spans: Sequence[Span], hits: Sequence[tuple[int, str]]) -> list[list[str]]:
    found: list[list[str]] = []
    at = 0
    for _, stop in spans:
        first = at
        while at < len(hits) and hits[at][0] < stop:
            at += 1
        found.append([term for _, term in hits[first:at]])
    return found


def _score(question: Question, sentence: _Sentence, best: float, weights: Features) -> Scored:
    text = one_line(sentence.passage.text[sentence.start : sentence.stop])
    is_typed = float(bool(candidates(question.kind, text, question.text)))
    ending = text.rstrip("”’」』\"')）] ")[-1:]
    features = Features(
        coverage=sentence.coverage,
        passage=sentence.passage.score / best,
        is_first=1 / sentence.rank,
        before=sentence.before,
        after=sentence.after,
        around=sentence.around,
        local=sentence.local,
        earlier=sentence.earlier,
        fuzzy=question.fuzzy_share(text.lower(), sentence.found),
        typed=is_typed,
        typed_number=is_typed if question.kind == "number" else 0.0,
        typed_date=is_typed if question.kind == "date" else 0.0,
        unit=float(has_unit(question.text, text)),
        letters=question.letter_share(text),
        copied=question.copied_share(text),
        in_order=question.order_share(sentence.found),
        asks=float(ending in "?？" and ending != ""),
        is_open=float(ending not in _FULL_STOPS),
        length=min(len(text), 400) / 400,
        row=0.0 if ending in _FULL_STOPS else _row_share(text, sentence.found),
    )
    score = sum(map(mul, features, weights))
    return Scored(sentence.passage, sentence.start, sentence.stop, score, frozenset(sentence.found), features)


def _row_share(text: str, found: Collection[str]) -> float:
    """Share of a row's words that the question has: TOTAL 12.50 is nothing but the total asked for."""
    words = [term for term in content_terms(text) if not term[0].isdigit()]
    is_row = 0 < len(words) <= MAX_ROW and any(map(str.isdigit, text))
    return sum(word in found for word in words) / len(words) if is_row else 0.0


def _root(term: str) -> str:
    """Return what every word of a stem begins with: ``happi`` stands for happy, too."""
    return term[:-1] if len(term) > 3 and term[-1] in "iy" else term


def _places(text: str, term: str) -> Iterable[int]:
    at = text.find(term)
    while at >= 0:
        yield at
        at = text.find(term, at + 1)
