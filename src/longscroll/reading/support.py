"""Which words of a passage support a claim: the span a citation points at.

Owns the search of one passage for what somebody wrote about it. Pure; knows no marks, no numbering and no engine.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from longscroll.engines.base import Passage
from longscroll.engines.sentences import sentence_spans
from longscroll.engines.terms import content_terms
from longscroll.types import Span

MIN_VERBATIM = 6
"""A shorter stretch, white space not counted, is found anywhere and proves nothing."""

_QUOTED = re.compile('“([^”]+)”|"([^"]+)"|「([^」]+)」|『([^』]+)』|«([^»]+)»')
_EMPHASIS = re.compile(r"[*_`#>|]+")
_EDGE = " \t\n.,;:!?。，；：！？、“”\"'‘’「」『』()（）*_-"


class Support:
    """One passage, ready to be asked; sentences and letters are prepared once and only when they are needed."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._folded: tuple[str, list[int]] | None = None
        self._sentences: list[tuple[Span, Counter[str]]] | None = None
        self._rarity: dict[str, float] = {}

    def span_for(self, claim: str) -> Span:
        """Return the span, in the document, that supports a claim best.

        A verbatim quote wins (white space, case and width of letters do not count), then the sentence that shares
        most of the claim's rarer terms, then the first sentence that says something.
        """
        claim = _EMPHASIS.sub("", claim)
        found = self._verbatim(claim) or self._closest(claim)
        start = self._passage.span[0]
        return start + found[0], start + found[1]

    def _verbatim(self, claim: str) -> Span | None:
        quoted = ["".join(groups) for groups in _QUOTED.findall(claim)]
        for wanted in (*sorted(quoted, key=len, reverse=True), claim):
            needle = fold(wanted.strip(_EDGE))[0]
            if len(needle) < MIN_VERBATIM:
                continue
            letters, places = self._letters()
            at = letters.find(needle)
            if at >= 0:
                return places[at], places[at + len(needle) - 1] + 1
        return None

    def _closest(self, claim: str) -> Span:
        sentences = self._prepared()
        wanted = set(content_terms(claim))
        best, best_score = None, 0.0
        for span, terms in sentences:
            score = sum(self._rarity[term] for term in wanted if term in terms)
            if score > best_score:
                best, best_score = span, score
        return best or self._first(sentences)

    def _first(self, sentences: list[tuple[Span, Counter[str]]]) -> Span:
        for span, terms in sentences:
            if len(terms) >= 3:
                return span
        return sentences[0][0] if sentences else (0, len(self._passage.text))

    def _letters(self) -> tuple[str, list[int]]:
        if self._folded is None:
            self._folded = fold(self._passage.text)
        return self._folded

    def _prepared(self) -> list[tuple[Span, Counter[str]]]:
        if self._sentences is None:
            text = self._passage.text
            self._sentences = [((a, b), Counter(content_terms(text[a:b]))) for a, b in sentence_spans(text)]
            known = Counter(term for _, terms in self._sentences for term in terms)
            n = len(self._sentences)
            self._rarity = {term: math.log(1 + n / count) for term, count in known.items()}
        return self._sentences


def fold(text: str) -> tuple[str, list[int]]:
    """Return the letters of a text without white space, width and case, and where each of them stood."""
    letters: list[str] = []
    places: list[int] = []
    for place, letter in enumerate(text):
        if letter.isspace() or letter in "\u00ad\u200b\ufeff":
            continue
        plain = (
            letter.lower() if letter.isascii() else _QUOTES.get(letter) or unicodedata.normalize("NFKC", letter).lower()
        )
        letters.append(plain)
        places.extend([place] * len(plain))
    return "".join(letters), places


_QUOTES = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‐": "-", "‑": "-"}
