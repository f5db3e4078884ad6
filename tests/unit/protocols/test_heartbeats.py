"""What comment frames say."""

from __future__ import annotations

import pytest

from longscroll.protocols.heartbeats import comment
from longscroll.types import Progress

PAGES = Progress(stage="parsing", n_done=120, n_total=2415)
BYTES = Progress(stage="parsing", n_done=12_300_000, n_total=150_000_000, unit="bytes")


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, "keep-alive"),
        (Progress(stage="queued", file_id="file-fe-1"), "waiting for a parser"),
        (Progress(stage="parsing"), "parsing"),
        (PAGES, "parsing 120 of 2415 pages"),
        (BYTES, "parsing 12.3 of 150.0 MB"),
        (Progress(stage="reading"), "reading"),
    ],
)
def test_a_comment_says_what_is_going_on(progress: Progress | None, words: str) -> None:
    assert comment(progress) == words


@pytest.mark.parametrize(
    ("left_s", "words"),
    [(0.0, "1 s"), (0.6, "1 s"), (7.6, "8 s"), (119.4, "119 s"), (120.0, "2 min"), (7200.0, "120 min")],
)
def test_the_time_left_is_told_roughly(left_s: float, words: str) -> None:
    progress = Progress(stage="parsing", n_done=1, n_total=9, left_s=left_s)
    assert comment(progress) == f"parsing 1 of 9 pages, about {words} left"
