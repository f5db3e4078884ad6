"""The terms by which a question, a claim and a sentence are compared, as strings.

Owns the stop words and what counts as one term inside an engine or a citation: a stemmed word, or a pair of neighboring
Chinese characters. Knows no index: a search segment hashes its own terms, this one compares a few thousand words.
"""

from __future__ import annotations

import re
from functools import lru_cache

import Stemmer

_STOP = """
a an the and or but if of to in on at by for from with without into onto over under as is are was were be been being am
do does did done have has had having will would shall should can could may might must not no nor so than then that this
these those there here it its itself he him his she her hers they them their theirs we us our ours you your yours i me
my mine who whom whose which what when where why how please tell give show say me about also any some such only own same
too very just both each few more most other s t d ll m o re ve y between during before after above below up down out off
again further once
"""
STOP_WORDS = frozenset(_STOP.split())
"""English words that carry no subject; a question made of nothing else is a global one."""

CJK_STOP = frozenset(
    "的了是在和与及或也都就而着吗呢吧啊么呀嘛哪谁什何怎样为几多少請请问你我他她它们这那之其被把对于从到有"
)
"""Chinese characters that say little on their own."""

_TOKEN = re.compile(r"[A-Za-zÀ-ɏͰ-ӿ]+(?:['’][a-z]+)?|\d+(?:[.,]\d+)*|[㐀-鿿\uf900-\ufaff぀-ヿ가-힯]+")


def terms_of(text: str) -> list[str]:
    """Return the terms of a text in order: stems of words, numbers as written, and pairs of Chinese characters.

    A single Chinese character between other script stands for itself.
    """
    terms: list[str] = []
    for token in _TOKEN.findall(text):
        if not is_cjk(token):
            terms.append(stem(token))
        elif len(token) == 1:
            terms.append(token)
        else:
            terms.extend(token[i : i + 2] for i in range(len(token) - 1))
    return terms


def content_terms(text: str) -> list[str]:
    """Return the terms that carry a subject: no stop words, no pair made of two empty Chinese characters."""
    return [term for term in terms_of(text) if not is_empty(term)]


def is_empty(term: str) -> bool:
    """Tell whether a term carries no subject."""
    return term in STOP_WORDS or term in _STOP_STEMS or all(letter in CJK_STOP for letter in term)


def is_cjk(term: str) -> bool:
    """Tell whether a term is made of Chinese characters (or kana, or hangul)."""
    return term[:1] >= "⺀"


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the stem of one word, lower case, without a possessive."""
    lower = word.lower().split("'")[0].split("’")[0]
    return str(_stemmer().stemWord(lower))


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")


_STOP_STEMS = frozenset(Stemmer.Stemmer("english").stemWords(sorted(STOP_WORDS)))
