"""The plan of page ranges."""

from __future__ import annotations

from itertools import pairwise

import pytest

from longscroll.documents.split import FIRST_PAGES, MAX_PAGES, page_ranges


def test_a_document_up_to_the_limit_is_one_range() -> None:
    assert page_ranges(400, part_pages=400) == [range(400)]


def test_a_longer_one_begins_small_and_grows_and_its_end_is_no_crumb() -> None:
    assert page_ranges(1158, part_pages=400) == [
        range(48),
        range(48, 144),
        range(144, 336),
        range(336, 529),
        range(529, 722),
        range(722, 915),
        range(915, 1158),
    ]


@pytest.mark.parametrize("n_pages", [401, 1000, 15_000, 1_000_000])
def test_ranges_tile_the_pages_in_a_bounded_number(n_pages: int) -> None:
    ranges = page_ranges(n_pages, part_pages=400)
    assert (ranges[0], ranges[-1].stop) == (range(FIRST_PAGES), n_pages)
    assert all(before.stop == after.start for before, after in pairwise(ranges))
    assert len(ranges) <= 72


def test_no_range_of_an_ordinary_book_keeps_others_waiting_long() -> None:
    assert max(map(len, page_ranges(15_000, part_pages=400))) <= MAX_PAGES + MAX_PAGES // 2
