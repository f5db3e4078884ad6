"""Cut a text into passages: about 512 tokens each, at the ends of sections, paragraphs and sentences.

Owns where the cuts are. Knows no vocabulary (the length in tokens is judged by the width of the characters) and no
index. Passages tile the text: each begins where the one before ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

TARGET_TOKENS = 512
MAX_CHARS = 4096
_SAMPLE_CHARS = 1024
_NARROW_TOKENS = 0.222  # tokens of one character of one byte, measured on English prose
_WIDE_TOKENS = 0.84  # of one of three bytes, measured on Chinese prose
_SHORTEST = 0.55  # of the target, but for a passage that ends before a heading
_SHORTEST_SECTION = 0.25
_LONGEST = 1.25  # of the target, for the last passage: a rest is not worth a passage of its own

# Best first: a passage ends at the last of the first kind that its last part has.
_ENDS = (
    ("\n\n",),
    ("\n",),
    ("。", "！", "？", "；", "…", ". ", "! ", "? ", '." ', ".” ", ".’ ", "!” ", "?” ", ".) "),
    ("，", "、", ", ", "; ", ": "),
    (" ",),
)
_CLOSERS = frozenset("”’」』）】)]\"'")
_MAX_TRAILING = 64


def cut_passages(text: str, *, headings: Sequence[int] = ()) -> Iterator[int]:
    """Yield the end of each passage, ascending; the last one is the length of the text.

    ``headings`` are the offsets at which sections begin, ascending. O(n): a few microseconds for each passage.
    """
    start = 0
    while start < len(text):
        target = _target_chars(text, start)
        is_rest = len(text) - start <= target * _LONGEST
        start = _section_end(start, len(text), target, headings) if is_rest else _end(text, start, target, headings)
        yield start


def _target_chars(text: str, start: int) -> int:
    sample = text[start : start + _SAMPLE_CHARS]
    n_wide = (len(sample.encode("utf-8", "replace")) - len(sample)) / 2
    n_tokens = (len(sample) - n_wide) * _NARROW_TOKENS + n_wide * _WIDE_TOKENS
    return min(MAX_CHARS, max(1, int(TARGET_TOKENS * len(sample) / max(1.0, n_tokens))))


def _section_end(start: int, stop: int, target: int, headings: Sequence[int]) -> int:
    """Return the last heading before ``stop``, or ``stop`` where none leaves enough before it."""
    last = bisect_left(headings, stop) - 1
    if last >= 0 and headings[last] >= start + max(1, target * _SHORTEST_SECTION):
        return headings[last]
    return stop


def _end(text: str, start: int, target: int, headings: Sequence[int]) -> int:
    low, high = start + int(target * _SHORTEST), start + target
    stop = _section_end(start, high + 1, target, headings)
    if stop <= high:
        return stop
    for ends in _ENDS:
        found, length = max((text.rfind(end, low, high), len(end)) for end in ends)
        if found >= 0:
            return _after_trailing(text, found + length)
    return high


def _after_trailing(text: str, stop: int) -> int:
    """Move an end behind the quotation marks that close there, then behind white space."""
    limit = min(len(text), stop + _MAX_TRAILING)
    while stop < limit and text[stop] in _CLOSERS and not text[stop - 1].isspace():
        stop += 1
    while stop < limit and text[stop].isspace():
        stop += 1
    return stop
