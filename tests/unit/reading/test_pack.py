from __future__ import annotations

import pytest

from longscroll.reading.pack import BudgetTooSmall, Choice, PackOptions, everything, pack
from longscroll.reading.rank import Hit

PLAIN = PackOptions(header_tokens=10, n_fronts=0, n_neighbored=0)


def hits(*places: tuple[int, int, float]) -> list[Hit]:
    return [Hit(document=document, passage=passage, score=score) for document, passage, score in places]


def chosen(choices: list[Choice]) -> list[tuple[int, int, int]]:
    return [(choice.document, choice.first, choice.stop) for choice in choices]


def test_the_best_come_first_and_stand_in_document_order() -> None:
    packed = pack(hits((1, 0, 9), (0, 5, 8), (0, 2, 7)), [[90] * 9, [90] * 9], budget=200, options=PLAIN)
    assert packed == [Choice(0, 5, 6, 100, 8), Choice(1, 0, 1, 100, 9)]


def test_a_passage_too_long_for_the_rest_makes_way_for_a_shorter_one() -> None:
    packed = pack(hits((0, 0, 9), (0, 2, 8), (0, 4, 7)), [[90, 0, 95, 0, 80]], budget=190, options=PLAIN)
    assert chosen(packed) == [(0, 0, 1), (0, 4, 5)]


def test_adjacent_passages_are_joined_but_not_without_end() -> None:
    packed = pack(hits(*((0, i, 9.0) for i in range(6))), [[90] * 6], budget=9999, options=PLAIN)
    assert packed == [Choice(0, 0, 4, 370, 9), Choice(0, 4, 6, 190, 9)]


def test_neighbors_of_the_best_come_along() -> None:
    options = PackOptions(header_tokens=10, n_fronts=0, n_neighbored=1)
    packed = pack(hits((0, 5, 9), (0, 8, 2)), [[90] * 9], budget=9999, options=options)
    assert chosen(packed) == [(0, 4, 7), (0, 8, 9)]


def test_a_neighbor_with_a_good_score_of_its_own_goes_before_better_strangers() -> None:
    packed = pack(hits((0, 2, 9), (0, 7, 8), (0, 3, 5)), [[90] * 9], budget=200, options=PLAIN)
    assert chosen(packed) == [(0, 2, 4)]


def test_few_documents_show_how_they_begin() -> None:
    options = PackOptions(header_tokens=10, n_neighbored=0)
    assert chosen(pack(hits((0, 5, 9)), [[90] * 9], budget=9999, options=options)) == [(0, 0, 2), (0, 5, 6)]
    many = pack(hits((0, 5, 9)), [[90] * 9] * 4, budget=9999, options=options)
    assert chosen(many) == [(0, 5, 6)]


def test_a_document_named_in_the_question_has_its_best_passage_in() -> None:
    found = hits((0, 0, 9), (0, 2, 8), (1, 3, 1))
    assert chosen(pack(found, [[90] * 9] * 2, budget=200, named=[1], options=PLAIN)) == [(0, 0, 1), (1, 3, 4)]


def test_weak_passages_are_left_out_once_there_are_enough() -> None:
    found = hits(*((0, 2 * i, 9.0) for i in range(8)), (0, 20, 1.0))
    assert (0, 20, 21) not in chosen(pack(found, [[10] * 30], budget=9999, options=PLAIN))
    assert (0, 20, 21) in chosen(pack(found[1:], [[10] * 30], budget=9999, options=PLAIN))


def test_a_budget_below_the_smallest_passage_is_said() -> None:
    with pytest.raises(BudgetTooSmall):
        pack(hits((0, 0, 9)), [[90]], budget=99, options=PLAIN)
    assert pack([], [[90]], budget=0, options=PLAIN) == []


def test_everything_is_every_passage_by_itself() -> None:
    assert chosen(everything([[5, 6], [7]])) == [(0, 0, 1), (0, 1, 2), (1, 0, 1)]
