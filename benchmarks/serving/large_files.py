"""A text and a PDF of any size, of words without meaning; the same at every call. Knows nothing of the service."""

from __future__ import annotations

import random

from factories.pdf_files import build_pdf

PAGES_PER_MB = 100
LINES_PER_PAGE = 80
LINES_PER_MB = 9_500
LINES_PER_PARAGRAPH = 8


def make_lines(n_lines: int) -> list[str]:
    """Make prose without meaning: lines of words, each with a number that stands in no other."""
    chance = random.Random(7)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en", "il", "os", "um")]
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(8000)]
    return [f"{n} " + " ".join(chance.choices(words, k=14)) + "." for n in range(n_lines)]


def make_pdf(megabytes: int) -> bytes:
    """Make a PDF of a hundred pages a megabyte."""
    lines = make_lines(megabytes * PAGES_PER_MB * LINES_PER_PAGE)
    return build_pdf([lines[i : i + LINES_PER_PAGE] for i in range(0, len(lines), LINES_PER_PAGE)])


def make_text(megabytes: int) -> bytes:
    lines = make_lines(megabytes * 11_000)
    return "\n".join(f"{line}\n" if n % 8 == 7 else line for n, line in enumerate(lines)).encode()
