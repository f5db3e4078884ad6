"""What a text is found by: stemmed words, pairs of CJK characters, and compounds, as 48-bit keys.

Owns the term rules. The index and the questions go through the same code, so that they agree by construction. Knows no
passage table, no statistics, and no language: one table of character classes decides.

Everything is arithmetic on arrays of code points; Python runs once for each *distinct* word. A word's key is a
polynomial hash of its folded stem with the top bit set, a pair's key its two code points.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import Stemmer
from numpy.typing import NDArray

TERMS_VERSION = 1
KEY_BITS = 48
WORD_BIT = np.uint64(1 << 47)

SEPARATOR, LETTER, PAIRED, JOINER, SPECIAL = range(5)  # classes of characters

_MULTIPLIER = 0x9E3779B97F4A7C15 | 1
_MIX = np.uint64(0xD6E8FEB86659FD93)
_N_CLASSED = 0x20000  # code points beyond are CJK ideographs up to U+3FFFF, separators after
_JOINERS = "-._/@:+#&\u2010\u2011\u2012\u2013"
_KATAKANA_DOT = 0x30FB

# Scripts written without spaces: pairs of characters take the place of words.
_PAIRED_RANGES = (
    (0x0E00, 0x0EDF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17DD),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x3105, 0x318F),  # Bopomofo, Hangul compatibility
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),  # Hangul
    (0xF900, 0xFAFF),
)
# What has to be composed before the table applies (marks, conjoining jamo), and what is invisible and taken out.
_COMPOSED_RANGES = ((0x0300, 0x036F), (0x1100, 0x11FF), (0x3099, 0x309A), (0xFF9E, 0xFF9F))
_INVISIBLE_RANGES = (
    (0x00AD, 0x00AD),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x2064),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
)
_WITHOUT_INVISIBLE = {code: None for first, last in _INVISIBLE_RANGES for code in range(first, last + 1)}


class Terms(NamedTuple):
    """The terms of several texts; all arrays but ``lengths`` are parallel, ordered by text within each kind."""

    keys: NDArray[np.uint64]
    texts: NDArray[np.intp]  # which text the term is in
    lengths: NDArray[np.intp]  # of each text: words and pairs; compounds come on top and do not count


class Folded(NamedTuple):
    """Texts laid end to end, one separator after each, with compatibility forms, case, accents and hyphens made one."""

    plain: NDArray[np.uint32]  # before case and accents were folded, position by position
    codes: NDArray[np.uint32]
    classes: NDArray[np.uint8]
    starts: NDArray[np.intp]  # where each text begins, and at the end the length


class Words(NamedTuple):
    """Runs of letters and digits: where they begin and end."""

    starts: NDArray[np.intp]
    stops: NDArray[np.intp]


class Lexer:
    """Turns texts into terms. Keeps the stems of the words it has seen; not for two threads at once."""

    def __init__(self, *, cache_bits: int = 15) -> None:
        self._stemmer = Stemmer.Stemmer("english", 0)
        self._cache_bits = cache_bits
        self._seen = np.zeros(1 << cache_bits, dtype=np.uint64)  # a word's hash, in the slot that its top bits name
        self._stems = np.zeros(1 << cache_bits, dtype=np.uint64)

    def terms(self, texts: Sequence[str]) -> Terms:
        """Find the terms of each text; 60 ns for each character of English, 20 for Chinese."""
        folded = fold(texts)
        n_texts = len(texts)
        hashes = RunHash(folded.codes)
        words = find_words(folded)
        pairs, pair_keys = find_pairs(folded)
        compound_starts, _, compound_keys = find_compounds(folded, words, hashes)
        word_texts, pair_texts = _texts_of(words.starts, folded.starts), _texts_of(pairs, folded.starts)
        lengths = np.bincount(word_texts, minlength=n_texts) + np.bincount(pair_texts, minlength=n_texts)
        return Terms(
            np.concatenate((self.stem_keys(folded, words, hashes), pair_keys, compound_keys)),
            np.concatenate((word_texts, pair_texts, _texts_of(compound_starts, folded.starts))),
            lengths,
        )

    def stem_keys(self, folded: Folded, words: Words, hashes: RunHash) -> NDArray[np.uint64]:
        """Find the key of the stem of each word."""
        spelled = hashes.of(*words)
        slots = (spelled >> np.uint64(64 - self._cache_bits)).astype(np.intp)
        keys = self._stems[slots]
        unseen = np.flatnonzero(self._seen[slots] != spelled)
        if len(unseen):
            distinct, first, which = np.unique(spelled[unseen], return_index=True, return_inverse=True)
            new = unseen[first]
            stems = self._stem(folded, words.starts[new], words.stops[new])
            self._seen[slots[new]] = distinct
            self._stems[slots[new]] = stems
            keys[unseen] = stems[which]
        return keys

    def stem(self, words: Sequence[str]) -> list[str]:
        """Stem folded words, of whatever language, as English: index and question are wrong in the same way."""
        return list(self._stemmer.stemWords(words))

    def _stem(self, folded: Folded, starts: NDArray[np.intp], stops: NDArray[np.intp]) -> NDArray[np.uint64]:
        text = folded.codes.tobytes().decode("utf-32-le")
        return word_keys(self.stem([text[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]))


def word_keys(words: Sequence[str]) -> NDArray[np.uint64]:
    """Find the keys of words that are folded and stemmed already."""
    codes = _codes("".join(words))
    stops = np.cumsum([len(word) for word in words], dtype=np.intp)
    starts = np.concatenate((np.zeros(1, dtype=np.intp), stops[:-1]))
    return _word_key(RunHash(codes).of(starts, stops))


def fold(texts: Sequence[str]) -> Folded:
    """Lay texts end to end and fold every character; a text with marks to compose is normalised by itself first."""
    codes, starts = _join(texts)
    classes = _classes_of(codes)
    special = np.flatnonzero(classes == SPECIAL)
    if len(special):
        plain = list(texts)
        for i in np.unique(_texts_of(special, starts)).tolist():
            plain[i] = _compose(texts[i])
        codes, starts = _join(plain)
        classes = _classes_of(codes)
    return _without_line_ends_in_paired_text(Folded(codes, _folded_codes(codes), classes, starts))


def find_words(folded: Folded) -> Words:
    """Find the runs of letters and digits."""
    is_letter = folded.classes == LETTER
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1]) + 1
    if len(is_letter) and is_letter[0]:
        edges = np.concatenate((np.zeros(1, dtype=np.intp), edges))
    return Words(edges[::2], edges[1::2])  # the last character of all is a separator, so every run ends


def find_pairs(folded: Folded) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Find where pairs of characters begin, and their keys; a character between others than its kind stands alone."""
    is_paired = folded.classes == PAIRED
    if not is_paired.any():
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.uint64)
    # The last character of all is a separator, so what follows a paired one always exists.
    has_next = is_paired[:-1] & is_paired[1:]
    pairs = np.flatnonzero(has_next)
    alone = is_paired[:-1] & ~is_paired[1:]
    alone[1:] &= ~is_paired[:-2]
    singles = np.flatnonzero(alone)
    codes = folded.codes
    pair_keys = (codes[pairs].astype(np.uint64) << np.uint64(21)) | codes[pairs + 1]
    return (
        np.concatenate((pairs, singles)),
        np.concatenate((pair_keys, codes[singles].astype(np.uint64) << np.uint64(21))),
    )


def find_compounds(
    folded: Folded, words: Words, hashes: RunHash
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.uint64]]:
    """Find words joined by single hyphens, points and the like, as one more term each: where they are, their keys."""
    classes = folded.classes
    joiners = np.flatnonzero(classes == JOINER)
    joiners = joiners[(joiners > 0)]
    joiners = joiners[(classes[joiners - 1] == LETTER) & (classes[joiners + 1] == LETTER)]
    if not len(joiners):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.uint64)
    left = np.searchsorted(words.stops, joiners)  # the word that ends where the joiner stands
    first = left[np.concatenate(([True], np.diff(left) > 1))]
    last = left[np.concatenate((np.diff(left) > 1, [True]))] + 1
    starts, stops = words.starts[first], words.stops[last]
    return starts, stops, _word_key(hashes.of(starts, stops))


class RunHash:
    """The polynomial hash of any run of an array of code points, in constant time after one pass over it."""

    def __init__(self, codes: NDArray[np.uint32]) -> None:
        powers, self._inverse = _powers(1 << max(0, len(codes) - 1).bit_length())
        self._sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.cumsum(powers[: len(codes)] * codes, out=self._sums[1:])

    def of(self, starts: NDArray[np.intp], stops: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Hash the runs ``[start, stop)``."""
        hashes = (self._sums[stops] - self._sums[starts]) * self._inverse[starts]
        hashes ^= hashes >> np.uint64(32)
        hashes *= _MIX
        hashes ^= hashes >> np.uint64(29)
        return hashes


def _word_key(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (hashes & (WORD_BIT - np.uint64(1))) | WORD_BIT


def _texts_of(positions: NDArray[np.intp], starts: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.searchsorted(starts, positions, side="right") - 1


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _join(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    lengths = np.array([len(text) + 1 for text in texts], dtype=np.intp)
    return _codes("\0".join([*texts, ""])), np.concatenate((np.zeros(1, dtype=np.intp), np.cumsum(lengths)))


def _compose(text: str) -> str:
    return unicodedata.normalize("NFKC", text.translate(_WITHOUT_INVISIBLE))


def _without_line_ends_in_paired_text(folded: Folded) -> Folded:
    """Take out single line ends between paired characters: hard-wrapped Chinese goes on in the next line."""
    plain, codes, classes, starts = folded
    ends = np.flatnonzero(codes == 10)
    ends = ends[(ends > 0)]
    ends = ends[(classes[ends - 1] == PAIRED) & (classes[ends + 1] == PAIRED)]
    if not len(ends):
        return folded
    kept = np.ones(len(codes), dtype=bool)
    kept[ends] = False
    return Folded(plain[kept], codes[kept], classes[kept], starts - np.searchsorted(ends, starts))


def _classes_of(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    classes, _ = _tables()
    return classes.take(codes, mode="clip")  # the last entry stands for all code points beyond


def _folded_codes(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    _, folds = _tables()
    folded = folds.take(codes, mode="clip")
    far = np.flatnonzero(codes >= _N_CLASSED)
    folded[far] = codes[far]
    return folded


@cache
def _powers(n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    inverse = pow(_MULTIPLIER, -1, 1 << 64)
    both = []
    for base in (_MULTIPLIER, inverse):
        factors = np.full(n, base, dtype=np.uint64)
        factors[:1] = 1
        both.append(np.cumprod(factors, dtype=np.uint64))
    return both[0], both[1]


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Make the table of classes and the table of folded characters; some 50 ms, once for each process."""
    characters = [chr(code) for code in range(_N_CLASSED)]
    classes = np.array([LETTER if c.isalnum() else SEPARATOR for c in characters] + [PAIRED], dtype=np.uint8)
    folds = np.arange(_N_CLASSED + 1, dtype=np.uint32)
    for code, character in enumerate(characters):
        if character.lower() != character or unicodedata.decomposition(character):
            classes[code], folds[code] = _fold_of(character)
        elif unicodedata.category(character) in {"Mc", "Mn"}:
            classes[code] = LETTER  # vowel signs are parts of words
    for first, last in _PAIRED_RANGES:
        classes[first : last + 1] = PAIRED
    classes[classes.take(folds, mode="clip") == PAIRED] = PAIRED  # half-width katakana
    for first, last in (*_COMPOSED_RANGES, *_INVISIBLE_RANGES):
        classes[first : last + 1] = SPECIAL
    for joiner in _JOINERS:
        classes[ord(joiner)] = JOINER
        folds[ord(joiner)] = ord("-") if unicodedata.category(joiner) == "Pd" else ord(joiner)
    classes[_KATAKANA_DOT] = SEPARATOR
    return classes, folds


def _fold_of(character: str) -> tuple[int, int]:
    """Return class and folded form of a character that has a compatibility form, a lower case or an accent."""
    normal = unicodedata.normalize("NFKC", character).lower()
    base = unicodedata.normalize("NFKD", normal)
    if len(base) > 1 and base[0].isascii() and base[0].isalpha() and all(map(unicodedata.combining, base[1:])):
        return LETTER, ord(base[0])
    if len(normal) > 1:  # a ligature is spelled out; a trade mark sign is no part of a word
        is_raised = unicodedata.decomposition(character).startswith("<super>")
        return SPECIAL if normal[0].isalnum() and not is_raised else SEPARATOR, ord(character)
    return LETTER if normal.isalnum() else SEPARATOR, ord(normal)
