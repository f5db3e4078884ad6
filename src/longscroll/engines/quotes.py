"""Which stretches of the evidence are quoted: the best sentence first, then what else says something, none twice.

Owns the choice among scored sentences and the span of each quote. Pure; knows no layout and no language's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from longscroll.engines.base import Passage
from longscroll.engines.scoring import MIN_FUZZY, Scored
from longscroll.engines.sentences import one_line, sentence_spans
from longscroll.engines.terms import content_terms, is_cjk
from longscroll.types import Span

N_CONSIDERED = 12
"""Best sentences that a quote is chosen from."""
N_QUOTES = 3
DIVERSITY = 0.3  # 1 - lambda of MMR
MIN_RELATIVE_SCORE = 0.35  # a further quote is worth reading when it scores this share of the first
MAX_QUOTE = 400
"""Characters that one quote may have; a longer sentence is quoted in part."""


def choose_quotes(ranked: Sequence[Scored], question: str) -> list[tuple[Passage, Span]]:
    """Choose the best sentence and up to two more that say something else (MMR), each with the span to quote."""
    considered = ranked[:N_CONSIDERED]
    telling = [sentence for sentence in considered if adds_something(sentence.text, question)] or ranked[:1]
    first = telling[0]
    rest = [
        sentence
        for sentence in telling
        if sentence.score >= MIN_RELATIVE_SCORE * first.score and sentence.features.is_open <= first.features.is_open
    ]
    chosen: list[Scored] = []
    while rest and len(chosen) < N_QUOTES:
        best = max(rest, key=lambda one: (1 - DIVERSITY) * one.score - DIVERSITY * _likeness(one, chosen))
        rest.remove(best)
        if one_line(best.text) not in {one_line(other.text) for other in chosen}:
            chosen.append(best)
    return _spans(chosen)


def adds_something(text: str, question: str) -> bool:
    """Tell whether a sentence says more than the question, if by one word only.

    A line of a table of contents says nothing, nor does a heading, which is the question's subject and at most a word
    more; a statement answers a question of yes or no even in the question's own words.
    """
    if _LISTING.search(text):
        return False
    asked = set(content_terms(question))
    n_new = len({term for term in content_terms(text) if term not in asked and not term.isdigit()})
    if n_new > 1 or any(map(str.isdigit, _NUMBERING.sub("", text))):
        return True
    is_statement = bool(_STATED.search(text)) and not _ASKED.search(text)
    return is_statement and (n_new > 0 or bool(_YES_OR_NO.search(question)))


def _spans(chosen: Sequence[Scored]) -> list[tuple[Passage, Span]]:
    """Give each sentence the span to quote; none overlaps an earlier one."""
    quotes: list[tuple[Passage, Span]] = []
    for sentence in chosen:
        start, stop = _focus(sentence, quote_span(sentence))
        taken = [span for passage, span in quotes if passage.document == sentence.passage.document]
        if _is_free((start, stop), taken):
            quotes.append((sentence.passage, (start, stop)))
        elif _is_free(sentence.span, taken):
            quotes.append((sentence.passage, sentence.span))
    return quotes


def _focus(sentence: Scored, span: Span) -> Span:
    """Narrow a quote that is too long to be read to its clauses around the question's terms."""
    if span[1] - span[0] <= MAX_QUOTE:
        return span
    base = sentence.passage.span[0]
    text = sentence.passage.text[span[0] - base : span[1] - base]
    lower = text.lower()
    found = [at for term in sentence.terms if (at := lower.find(term[:MIN_FUZZY])) >= 0]
    clauses = [0, *(match.end() for match in _CLAUSE_END.finditer(text))]
    first = max(clause for clause in clauses if clause <= min(found, default=0))
    ends = [clause for clause in (*clauses, len(text)) if first < clause <= first + MAX_QUOTE]
    return span[0] + first, span[0] + (ends[-1] if ends else first + MAX_QUOTE)


def _is_free(span: Span, taken: Sequence[Span]) -> bool:
    return all(span[1] <= other[0] or other[1] <= span[0] for other in taken)


def _likeness(quote: Scored, chosen: Sequence[Scored]) -> float:
    """Say how much of a sentence is said already: shared words, by the smaller one."""
    own = set(one_line(quote.text).lower().split()) if not is_cjk(quote.text) else set(quote.text)
    best = 0.0
    for other in chosen:
        words = set(one_line(other.text).lower().split()) if not is_cjk(other.text) else set(other.text)
        best = max(best, len(own & words) / max(1, min(len(own), len(words))))
    return best * chosen[0].score if chosen else 0.0


_NUMBERING = re.compile(r"^[\W\d]*(?:[A-Z]\.)?[\d.]+")
_CLAUSE_END = re.compile(r"[,;，；、:：]\s*|\s+")
_LISTING = re.compile(r"\s\.$|\.{4,}|(?:\. ){3,}|^\d+\s+\d+(?:\.\d+)+\s")
_ASKED = re.compile(r"[?？]\W*$|^[\W\d]*(?:what|which|who|whose|when|where|why|how)\b", re.IGNORECASE)
_STATED = re.compile(
    r"[.。!！;；][”’」』\"')）\]\s]*$|\S[:：|\t]\s*\S"
    r"|\b(?:is|are|was|were|has|have|had|can|could|will|would|shall|should|must|may|does|do|did)\b|[是为為有]",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"^\W*(?:is|are|was|were|has|have|had|can|could|will|would|shall|should|must|may|does|do|did)\b|[吗嗎]|是否|能否|有没有|是不是",
    re.IGNORECASE,
)
_POINTS_BACK = (
    "he ", "she ", "it ", "they ", "this ", "these ", "his ", "her ", "its ", "their ", "that ", "however, ",
    "他", "她", "它", "该", "其", "此", "这",
)  # fmt: skip


def quote_span(quote: Scored) -> Span:
    """The span to quote: one that begins with a pronoun takes along the sentence before, which says who is meant."""
    text = quote.passage.text
    start, stop = quote.start, quote.stop
    if quote.features.before > 0 and text[start : start + 12].lower().startswith(_POINTS_BACK):
        earlier = [span for span in sentence_spans(text[:start]) if "\n\n" not in text[span[1] : start]]
        if earlier and stop - earlier[-1][0] <= MAX_QUOTE:
            start = earlier[-1][0]
    base = quote.passage.span[0]
    return base + start, base + stop
