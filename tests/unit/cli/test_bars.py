"""The words beside a bar."""

from __future__ import annotations

import pytest

from longscroll.cli.bars import parse_bars, show, state
from longscroll.types import Progress

PAGES = Progress(stage="parsing", n_done=120, n_total=2415, per_s=309.6, left_s=7.4)
BYTES = Progress(stage="parsing", n_done=12_340_000, n_total=150_000_000, unit="bytes", per_s=20_160_000, left_s=130.2)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(stage="queued"), "waiting for a parser"),
        (Progress(stage="parsing"), "parsing"),
        (Progress(stage="parsing", n_done=1, n_total=9), "1 of 9 pages"),
        (PAGES, "120 of 2415 pages, 310 a second, 7 s left"),
        (BYTES, "12.3 of 150.0 MB, 20.2 a second, 2 min 10 s left"),
    ],
)
def test_a_bar_says_how_much_is_done_how_fast_and_how_long_it_will_take(progress: Progress, words: str) -> None:
    assert state(progress) == words


def test_a_bar_is_as_long_as_the_parse_is_far() -> None:
    bars = parse_bars()
    task = bars.add_task("handbook.pdf", total=None, state="")
    show(bars, task, PAGES)
    drawn = bars.tasks[0]
    assert (drawn.completed, drawn.total, drawn.fields["state"]) == (120, 2415, state(PAGES))
