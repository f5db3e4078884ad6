from __future__ import annotations

import pytest

from longscroll.documents.query import MAX_QUESTION_CHARS, QueryTerm, read_query
from longscroll.documents.terms import Lexer


def query(question: str, *borrowed: str) -> tuple[QueryTerm, ...]:
    return read_query(question, Lexer(), borrowed=borrowed)


def texts(question: str) -> list[str]:
    return [term.text for term in query(question)]


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("Where did the ships of Captain Ahab sail?", ["ship", "captain", "ahab", "sail"]),
        ("What is the magic number for amber-anvil?", ["magic", "number", "amber-anvil", "amber", "anvil"]),
        ("The Who", ["the", "who"]),
        ("船长是谁？", ["船长", "长是"]),
        ("AM1470在每周的", ["am1470", "在每", "每周", "周的"]),
        ("Who was Céloron?", ["céloron"]),
        ("?!", []),
    ],
)
def test_a_question_is_read_as_its_terms(question: str, terms: list[str]) -> None:
    assert texts(question) == terms


def test_a_term_appears_once_where_it_first_stands() -> None:
    assert texts("ship, boat, ships") == ["ship", "boat"]


def test_pairs_with_a_function_character_say_little() -> None:
    weights = {term.text: term.weight for term in query("公司的总部")}

    assert weights == {"公司": 1.0, "司的": 0.3, "的总": 0.3, "总部": 1.0}


def test_terms_have_the_keys_of_the_index() -> None:
    lexer = Lexer()
    text = "captains v7.1 船长"

    assert {term.key for term in read_query(text, lexer)} == set(lexer.terms([text]).keys.tolist())


def test_borrowed_terms_join_at_half_their_weight() -> None:
    terms = {
        term.text: (term.weight, term.is_borrowed) for term in query("When was it built?", "Eiffel Tower", "built")
    }

    assert terms == {"built": (1.0, False), "eiffel": (0.5, True), "tower": (0.5, True)}


def test_only_both_ends_of_an_endless_question_are_read() -> None:
    terms = texts("start " + " ".join(map(str, range(100_000))) + " end")

    assert (terms[0], terms[-1], len(terms) < MAX_QUESTION_CHARS) == ("start", "end", True)
