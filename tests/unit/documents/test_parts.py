"""Which parts of a document there are, and how far all of them are together."""

from __future__ import annotations

from pathlib import Path

from longscroll.documents.messages import ParsePart, ParseProgress
from longscroll.documents.parts import Beginning, Part, Parts

A, B = Path("a"), Path("b")


def part(n_done: int, *, offset: int = 0, is_last: bool = True) -> ParsePart:
    return ParsePart(task=1, offset=offset, size=64, n_done=n_done, is_last=is_last)


def long_document() -> Parts:
    """Return the parts of 600 pages, in stretches of 48, 96, 100 and so on, the first in hand."""
    parts = Parts()
    assert parts.take() == 0
    parts.split(600, part_pages=400)
    return parts


def test_a_file_is_one_stretch_until_it_turns_out_to_be_long() -> None:
    parts = Parts()
    assert (parts.take(), parts.take(), parts.is_split) == (0, None, False)


def test_stretches_are_taken_in_order_and_one_given_back_comes_first() -> None:
    parts = long_document()
    assert [parts.take(), parts.take(), parts.take()] == [1, 2, 3]
    parts.give_back(1)
    assert [parts.take(), parts.take()] == [1, 4]


def test_the_beginning_ends_where_something_is_missing() -> None:
    parts = long_document()
    parts.take()
    parts.add(1, B, part(96))
    assert parts.beginning() == Beginning([], 0)
    parts.add(0, A, part(48))
    assert parts.beginning() == Beginning([Part(A, 0, 64, 48), Part(B, 0, 64, 144)], 144)


def test_parts_of_a_stretch_that_is_not_done_belong_to_the_beginning() -> None:
    parts = Parts()
    parts.take()
    parts.add(0, A, part(500, is_last=False))
    assert (parts.beginning(), parts.are_done) == (Beginning([Part(A, 0, 64, 500)], 500), False)
    parts.add(0, A, part(900, offset=64))
    assert (parts.beginning().n_done, parts.are_done, parts.n_bytes) == (900, True, 128)


def test_what_a_lost_child_left_of_a_stretch_is_forgotten_when_it_is_taken_again() -> None:
    parts = Parts()
    parts.take()
    parts.add(0, A, part(500, is_last=False))
    parts.give_back(0)
    parts.take()
    assert parts.beginning() == Beginning([], 0)


def test_progress_adds_up_over_the_stretches_and_never_passes_the_whole() -> None:
    parts = long_document()
    parts.take()
    parts.progress(0, ParseProgress(task=1, n_done=1_000_000, n_total=48, unit="pages"))
    assert parts.progress(1, ParseProgress(task=2, n_done=10, n_total=96, unit="pages")) == ParseProgress(
        task=2, n_done=58, n_total=600, unit="pages"
    )


def test_progress_of_a_file_that_is_not_split_stays_as_it_is() -> None:
    parts = Parts()
    parts.take()
    progress = ParseProgress(task=1, n_done=5, n_total=9, unit="bytes")
    assert parts.progress(0, progress) == progress
