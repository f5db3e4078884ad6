"""Cut a text into passages: about 512 tokens each, at the ends of sections, paragraphs and sentences.

Owns where the cuts are. Knows no vocabulary (the length in tokens is judged by the width of the characters) and no
index. Passages tile the text: each begins where the one before ends.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

TARGET_TOKENS = 512
MAX_CHARS = 4096
_NARROW_TOKENS = 0.222  # tokens of one character of one byte, measured on English prose
_WIDE_TOKENS = 0.84  # of one of three bytes, measured on Chinese prose
_SEARCH_FROM = 0.55  # of the target: no passage is cut shorter than this, but before a heading
_ENDS = (
    re.compile(r"\n[ \t\u3000]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(r"[。！？；…]+[”’」』）】]*|[.!?;]+[\"'”’)\]]*(?=\s)\s*"),
    re.compile(r"[，、,:：]|\s+"),
)


def cut_passages(text: str, *, headings: Sequence[int] = (), start: int = 0) -> Iterator[int]:
    """Yield the end of each passage of ``text[start:]``, ascending; the last one is the length of the text.

    ``headings`` are the offsets at which sections begin, ascending. O(n), about a microsecond for each passage.
    """
    while start < len(text):
        target = _target_chars(text, start)
        if len(text) - start <= target * 1.25:
            start = len(text)
        else:
            start = _cut(text, start, target, headings)
        yield start


def _target_chars(text: str, start: int) -> int:
    sample = text[start : start + 2048]
    n_wide = (len(sample.encode()) - len(sample)) / 2
    n_tokens = (len(sample) - n_wide) * _NARROW_TOKENS + n_wide * _WIDE_TOKENS
    return min(MAX_CHARS, max(64, int(TARGET_TOKENS * len(sample) / n_tokens)))


def _cut(text: str, start: int, target: int, headings: Sequence[int]) -> int:
    low, high = start + int(target * _SEARCH_FROM), start + target
    before = bisect_left(headings, high + 1) - 1
    if before >= 0 and headings[before] >= start + target // 4:
        return headings[before]
    for ends in _ENDS:
        stop = max((match.end() for match in ends.finditer(text, low, high)), default=0)
        if stop:
            return stop
    return high
