from __future__ import annotations

import pytest

from longscroll.documents.segment import Segment, build_segment
from longscroll.documents.terms import Lexer
from longscroll.errors import ArtifactError


def segment_of(*texts: str) -> Segment:
    return build_segment(texts, Lexer())


def postings(segment: Segment, word: str) -> list[tuple[int, int]]:
    key = Lexer().terms([word]).keys[0]
    at = segment.keys.searchsorted(key)
    if at == len(segment.keys) or segment.keys[at] != key:
        return []
    stretch = slice(segment.indptr[at], segment.indptr[at + 1])
    return list(zip(segment.docs[stretch].tolist(), segment.tfs[stretch].tolist(), strict=True))


def test_postings_say_where_a_term_stands_and_how_often() -> None:
    segment = segment_of("ship ahoy ship", "nothing here", "one ship")

    assert (postings(segment, "ship"), postings(segment, "boat")) == ([(0, 2), (2, 1)], [])


def test_frequencies_stop_at_255() -> None:
    assert postings(segment_of("ship " * 300), "ship") == [(0, 255)]


def test_keys_ascend_without_repeats() -> None:
    keys = segment_of("the ship and the boat", "船长的日志 ship").keys.tolist()

    assert keys == sorted(set(keys))


def test_lengths_are_those_of_the_passages() -> None:
    assert segment_of("one two three", "", "船长的").lengths.tolist() == [3, 0, 2]


def test_a_segment_of_nothing_has_no_terms() -> None:
    assert [array.tolist() for array in segment_of("", "...")[1:]] == [[], [0], [], [], [0, 0]]


def test_long_and_short_blocks_of_text_make_the_same_segment() -> None:
    texts = [f"passage {i} of the log " * 40 for i in range(600)]
    whole = segment_of(*texts)

    assert postings(whole, "599") == [(599, 40)]
    assert postings(whole, "passage") == [(i, 40) for i in range(600)]


def test_sections_bring_a_segment_back() -> None:
    segment = segment_of("ship ahoy", "船长的日志")
    sections = dict(segment.to_sections("segment.0"))

    back = Segment.from_sections(lambda name: memoryview(sections[name]), "segment.0", 7, 2)

    assert back.first_passage == 7
    assert [array.tolist() for array in back[1:]] == [array.tolist() for array in segment[1:]]


def test_arrays_that_do_not_fit_together_are_refused() -> None:
    sections = dict(segment_of("ship ahoy").to_sections("segment.0"))

    with pytest.raises(ArtifactError, match="do not fit together"):
        Segment.from_sections(lambda name: memoryview(sections[name]), "segment.0", 0, 2)
