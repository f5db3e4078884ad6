from __future__ import annotations

import pytest

from factories.conversation_documents import open_document
from longscroll.reading.digest import MAX_PARTS, is_quotable, pick_passages, pick_sentences

TOPICS = ["rivers", "bridges", "harbours", "mills", "castles", "markets", "gardens", "towers"]


def name(i: int) -> str:
    return "Q" + "".join("bcdfghjklm"[int(digit)] + "a" for digit in str(i))


def book(n_paragraphs: int) -> str:
    return "\n\n".join(
        f"The way leads from {name(i)} by {name(i + 1)} to {name(i + 2)}, past its {TOPICS[i % 8]}. It is long."
        for i in range(n_paragraphs)
    )


def test_quotes_span_a_long_document_in_order() -> None:
    artifact = open_document(book(400)).artifact
    picks = pick_sentences([artifact])
    n = artifact.meta.n_chars
    assert len(picks) == MAX_PARTS
    assert [pick.span for pick in picks] == sorted(pick.span for pick in picks)
    assert [int(10 * pick.span[0] / n) for pick in picks] == list(range(10))


def test_a_quote_is_a_sentence_of_the_document() -> None:
    artifact = open_document(book(40)).artifact
    for pick in pick_sentences([artifact]):
        assert artifact.text(pick.span).startswith("The way")
        assert artifact.text(pick.span).endswith(".")


def test_several_documents_share_the_quotes() -> None:
    artifacts = [open_document(book(100 + i).replace("The way", f"Way {name(i)}")).artifact for i in range(8)]
    documents = [pick.document for pick in pick_sentences(artifacts)]
    assert documents == sorted(documents)
    assert {documents.count(document) for document in range(8)} == {3}


def test_what_says_what_the_text_is_about_is_preferred() -> None:
    said = "This report describes how the rivers of the province were dammed and crossed."
    artifact = open_document(
        f"The rivers of the province run from north to south all year. {said} They are many."
    ).artifact
    assert said in [artifact.text(pick.span) for pick in pick_sentences([artifact])]


def test_a_document_without_sentences_still_gives_its_lines() -> None:
    artifact = open_document("Bread\t2.50\nButter\t3.10\nCheese\t4.20").artifact
    assert artifact.text(pick_sentences([artifact])[0].span) == "Bread\t2.50"


def test_passages_for_a_model_stay_within_the_budget_and_span_the_document() -> None:
    artifact = open_document(book(400)).artifact
    chosen = pick_passages([artifact], 4000, 20)
    assert sum(artifact.passage_tokens(passage) + 20 for _, passage in chosen) <= 4000
    assert chosen == sorted(chosen)
    assert chosen[0] == (0, 0)
    assert chosen[-1][1] > artifact.n_passages * 0.7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The rivers of the province were dammed and crossed by many.", True),
        ("全年共借出图书九万一千二百四十册次，比上一年增长百分之七。", True),
        ("3.1 Rivers and how they were dammed and crossed by many", False),
        ("and were dammed and crossed by many people in the old days.", False),
        ("Copyright 2020 by the authors of this book. All rights reserved.", False),
        ("Rivers ........ 12 Bridges ........ 15 Harbours and mills .... 20.", False),
        ("x = 3; y = 4; z = {1, 2, 3}; call(x, y, z, 17, 18, 19, 20, 21).", False),
        ("Yes.", False),
    ],
)
def test_only_whole_sentences_stand_in_a_summary(text: str, expected: bool) -> None:
    assert is_quotable(text) is expected


def test_each_quote_is_given_once() -> None:
    refrain = "The river runs from the hills down to the sea, and nobody has ever crossed it."
    artifact = open_document(*[f"{refrain} {book(2)}" for _ in range(6)]).artifact
    picks = pick_sentences([artifact, artifact])
    quoted = [artifact.text(pick.span) for pick in picks]
    assert len(quoted) == len(set(quoted)) > 0
