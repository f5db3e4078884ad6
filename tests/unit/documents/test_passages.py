from __future__ import annotations

from itertools import pairwise

import pytest

from longscroll.documents.passages import cut_passages

ENGLISH = "The captain wrote his log every night, and nobody ever read it. "
CHINESE = "船长每天夜里都写日志，可是从来没有人读过它。"


def passages(text: str, *headings: int) -> list[str]:
    return [text[start:stop] for start, stop in pairwise((0, *cut_passages(text, headings=headings)))]


def test_a_short_text_is_one_passage() -> None:
    assert passages(ENGLISH) == [ENGLISH]


def test_no_text_has_no_passages() -> None:
    assert passages("") == []


@pytest.mark.parametrize(("sentence", "low", "high"), [(ENGLISH, 1800, 2400), (CHINESE, 480, 640)])
def test_a_passage_is_about_512_tokens_long(sentence: str, low: int, high: int) -> None:
    lengths = [len(passage) for passage in passages(sentence * 500)[:-1]]

    assert low <= min(lengths) <= max(lengths) <= high


@pytest.mark.parametrize("sentence", [ENGLISH, CHINESE])
def test_passages_begin_and_end_with_sentences(sentence: str) -> None:
    assert all(passage.startswith(sentence) and passage.endswith(sentence) for passage in passages(sentence * 500))


def test_a_paragraph_end_is_better_than_a_later_sentence_end() -> None:
    paragraph = ENGLISH * 25 + "\n\n"

    assert passages(paragraph * 3 + ENGLISH) == [paragraph, paragraph, paragraph + ENGLISH]


def test_a_closing_quotation_mark_stays_with_its_sentence() -> None:
    sentence = "他说：“我从来没有读过船长的日志。”"

    assert all(passage.endswith("”") for passage in passages(sentence * 200))


def test_an_opening_quotation_mark_stays_with_its_sentence() -> None:
    sentence = '"I never read the log." '

    assert all(passage.startswith('"I') for passage in passages(sentence * 500))


def test_text_without_any_end_is_cut_at_full_length() -> None:
    lengths = [len(passage) for passage in passages("x" * 10_000)]

    assert lengths == [2306, 2306, 2306, 2306, 776]


def test_a_passage_ends_before_a_heading() -> None:
    start = len(ENGLISH) * 12

    assert passages(ENGLISH * 60, start)[0] == ENGLISH * 12


def test_short_sections_share_a_passage() -> None:
    headings = [len(ENGLISH) * i for i in range(60)]

    assert len(passages(ENGLISH * 60, *headings)) < 5
