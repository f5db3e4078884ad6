"""Which sentence of the evidence answers a question, without a model.

Owns the features of a sentence and their weights. Pure; knows passages, never documents. The weights are plain numbers
fitted on public question sets; benchmarks/reading/answers.py prints what they reach and fits them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, mul
from typing import NamedTuple

from longscroll.engines.answer_types import AnswerType, answer_type, candidates, has_unit
from longscroll.engines.base import Passage
from longscroll.engines.sentences import one_line, sentence_spans
from longscroll.engines.terms import CJK_STOP, is_cjk, stem
from longscroll.types import Span

MAX_SCORED = 48
"""Sentences whose costlier features are worth computing: the best by coverage and passage score alone."""


N_COVERING = 5
"""Best passages that can cover a question."""
STRONG_SCORE = 1.5
"""Passage score, by the sum of the question's idf, that leaves no doubt."""


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


LATIN_WEIGHTS = Features(
    1.0, 0.35, 0.07, 0.6, 0.22, 0.35, 0, 0, 0, 0.19, 0.11, 0.08, 0.28, 0.0, 0.75, 0.2, -0.09, -0.02, -0.12
)  # fmt: skip
CJK_WEIGHTS = Features(
    1.0, 0.55, 0.13, 0.95, 0.4, 0.65, 0, 0, 0, 0.3, 0.2, 0.35, 0.3, 1.3, 0.7, 0.3, -0.2, -0.24, -0.25
)  # fmt: skip


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
        self.text = text
        self.kind: AnswerType = answer_type(text)
        self.weights = dict(term_weights)
        self.is_cjk = any(is_cjk(term) for term in self.weights)
        self._total = sum(self.weights.values()) or 1.0
        self._literals = [term for term in self.weights if is_cjk(term) or not term.isalnum()]
        roots = sorted({re.escape(_root(term)) for term in self.weights if term not in self._literals})
        self._words = re.compile(rf"\b(?:{'|'.join(roots)})\w*", re.IGNORECASE) if roots else None
        self._order = [term for _, term in self.hits(text)]
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

    def strength(self, score: float) -> float:
        """A passage's score as a share of what a question of this weight can reach."""
        return min(1.0, score / (STRONG_SCORE * self._total))

    def letter_share(self, text: str) -> float:
        """Share of the question's single Chinese characters that a text has, by idf."""
        total = sum(self._letters.values())
        return sum(weight for letter, weight in self._letters.items() if letter in text) / total if total else 0.0

    def fuzzy(self, text, found):
        if self.is_cjk: return 0.0
        have=set(found)
        return sum(w for t,w in self.weights.items() if t not in have and len(t)>=4 and " "+t[:max(4,len(t)-3)] in text)/self._total

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


def coverage_of(question: Question, ranked: Sequence[Scored], passages: Sequence[Passage]) -> float:
    """Say, in 0–1, how well evidence covers a question: what it is safe to answer from.

    Two neighboring sentences, a whole passage, and the best passage's score each give their share of the question.
    ``ranked`` are the sentences, ``passages`` the passages, both best first.
    """
    if not ranked:
        return 0.0
    top = {passage.number for passage in passages[:N_COVERING]}
    near = [scored.features for scored in ranked if scored.passage.number in top]
    together = max((seen.coverage + max(seen.before, seen.after) for seen in near), default=0.0)
    around = max((seen.around for seen in near), default=0.0)
    strength = question.strength(passages[0].score)
    return min(1.0, 0.35 * together + 0.25 * around + 0.4 * strength)


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
    sets = [frozenset(), *map(frozenset, found), frozenset()]
    from collections import Counter
    sf = Counter(t for x in sets for t in x)
    around = question.share({term for _, term in hits})
    sentences = []
    for i, (start, stop) in enumerate(spans):
        if not found[i]:
            continue
        previous, own, following = sets[i : i + 3]
        coverage = question.share(own)
        before, after = question.share(previous - own), question.share(following - own)
        local = sum(question.weights[t] / sf[t] for t in own) / question._total
        earlier = question.share((sets[i - 1] if i else frozenset()) - own - previous)
        sentences.append(_Sentence(passage, rank, start, stop, found[i], coverage, before, after, around, local, earlier))
    return sentences


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
        fuzzy=question.fuzzy(text.lower(), sentence.found),
        typed=is_typed,
        typed_number=is_typed if question.kind == "number" else 0.0,
        typed_date=is_typed if question.kind == "date" else 0.0,
        unit=float(has_unit(question.text, text)),
        letters=question.letter_share(text),
        copied=question.copied_share(text),
        in_order=question.order_share(sentence.found),
        asks=float(ending in "?？" and ending != ""),
        is_open=float(ending not in ".。!！;；?？"),
        length=min(len(text), 400) / 400,
    )
    score = sum(map(mul, features, weights))
    return Scored(sentence.passage, sentence.start, sentence.stop, score, frozenset(sentence.found), features)


def _root(term: str) -> str:
    """Return what every word of a stem begins with: ``happi`` stands for happy, too."""
    return term[:-1] if len(term) > 3 and term[-1] in "iy" else term


def _places(text: str, term: str) -> Iterable[int]:
    at = text.find(term)
    while at >= 0:
        yield at
        at = text.find(term, at + 1)
