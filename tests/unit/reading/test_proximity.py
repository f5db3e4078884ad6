from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from longscroll.documents.query import QueryTerm, read_query
from longscroll.documents.terms import Lexer
from longscroll.reading.proximity import WINDOW, locate, pair_scores, sentence_coverage, window_scores


def query(question: str) -> tuple[QueryTerm, ...]:
    return read_query(question, Lexer())


def places(question: str, *texts: str) -> list[tuple[int, str]]:
    terms = query(question)
    found = locate(texts, terms)
    return [(text, terms[term].text) for text, term in zip(found.texts.tolist(), found.terms.tolist(), strict=True)]


def pairs(question: str, *texts: str) -> list[float]:
    terms = query(question)
    return list(pair_scores(locate(texts, terms), terms, np.ones(len(terms))))


def windows(question: str, *texts: str) -> list[float]:
    terms = query(question)
    return list(window_scores(locate(texts, terms), np.ones(len(terms))))


def coverage(question: str, text: str, weights: Sequence[float] | None = None) -> float:
    terms = query(question)
    return sentence_coverage(locate([text], terms), 0, np.array(weights or [1.0] * len(terms)))


def test_terms_are_found_by_their_stems_and_in_order() -> None:
    assert places("sailing ships", "A ship", "He sails. Ships sail!") == [
        (0, "ship"),
        (1, "sail"),
        (1, "ship"),
        (1, "sail"),
    ]


@pytest.mark.parametrize(
    ("question", "text"),
    [("Céloron", "celoron"), ("skies", "The sky"), ("v", "a v b"), ("a-b", "a-b"), ("船长", "老船\n长")],
)
def test_every_kind_of_term_is_found(question: str, text: str) -> None:
    assert places(question, text)


def test_neighbors_of_the_question_are_scored_where_they_are_neighbors() -> None:
    assert pairs("amber island", "amber island", "island amber", "amber or an island", "amber") == [1.0, 0.0, 0.0, 0.0]


def test_words_between_neighbors_of_the_question_may_stand_between_them() -> None:
    scores = pairs("treasure of the captain", "treasure of a captain", "treasure captain", "captain treasure")

    assert scores == [1.0, 1.0, 0.0]


def test_neighbors_in_different_texts_are_none() -> None:
    assert pairs("amber island", "amber", "island") == [0.0, 0.0]


def test_a_window_counts_each_term_once() -> None:
    assert windows("captain treasure map", "captain captain treasure", "map", "nothing") == [2.0, 1.0, 0.0]


def test_terms_farther_apart_than_a_window_do_not_add_up() -> None:
    near, far = WINDOW // 2 - 2, WINDOW // 2 + 2

    assert windows("captain map", f"captain {'x ' * near} map", f"captain {'x ' * far} map") == [2.0, 1.0]


def test_no_window_spans_two_texts() -> None:
    assert windows("captain map", "captain", "map") == [1.0, 1.0]


def test_two_neighboring_sentences_cover_together() -> None:
    assert coverage("captain hid map", "The captain slept. He hid it. Some map.") == 2.0


@pytest.mark.parametrize("text", ["船长睡了。他有宝藏！别的。有地图", "船长睡了\n\n他有宝藏\n\n别的\n\n有地图"])
def test_chinese_sentences_end_with_their_marks(text: str) -> None:
    assert coverage("船长，宝藏，地图", text) == 2.0


def test_a_text_without_the_terms_covers_nothing() -> None:
    assert coverage("captain", "Nothing here.") == 0.0
