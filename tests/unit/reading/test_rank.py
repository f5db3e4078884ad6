from __future__ import annotations

import pytest

from factories.artifacts import artifact
from longscroll.documents.artifact import Artifact
from longscroll.reading.rank import Ranking, rank

FILLER = "Nothing of interest happened on this day, and the sea was calm. "
LOG = (
    FILLER * 30,
    "The captain hid the treasure on Amber Island. " + FILLER * 30,
    "The cook praised the captain. Amber is a stone. An island came in sight. " + FILLER * 30,
)
日志 = ("今天无事，海面平静。" * 60, "船长把宝藏埋在琥珀岛上。" + "今天无事，海面平静。" * 60)


def documents(*texts: str) -> list[Artifact]:
    return [artifact(text) for text in texts]


def found(ranking: Ranking) -> list[tuple[int, int]]:
    return [(hit.document, hit.passage) for hit in ranking.hits]


def test_the_passage_that_has_the_words_comes_first() -> None:
    assert found(rank(documents(*LOG), "Where did the captain hide the treasure?"))[0] == (1, 0)


def test_chinese_is_found_without_a_word_list() -> None:
    assert found(rank(documents(*日志), "船长的宝藏在哪里？")) == [(1, 0)]


def test_passages_without_a_word_of_the_question_are_no_hits() -> None:
    assert found(rank(documents(*LOG), "treasure")) == [(1, 0)]


def test_neighboring_words_beat_scattered_ones() -> None:
    assert found(rank(documents(*LOG), "Amber Island")) == [(1, 0), (2, 0)]


def test_of_passages_with_the_same_words_the_one_that_has_them_side_by_side_comes_first() -> None:
    apart = f"Amber is found near this lonely northern cold island. {FILLER * 30}"
    together = f"Found near this lonely northern cold is Amber Island. {FILLER * 30}"

    assert found(rank(documents(apart, together), "Amber Island")) == [(1, 0), (0, 0)]


def test_of_passages_with_the_same_words_the_one_that_has_them_closer_comes_first() -> None:
    # The question has the words the other way round: in neither passage are they the question's neighbors.
    far = f"Amber washed ashore. {FILLER * 5}It was on an island. {FILLER * 25}"
    close = f"Amber washed ashore. It was on an island. {FILLER * 30}"

    assert found(rank(documents(far, close), "Which island had amber?")) == [(1, 0), (0, 0)]


def test_a_passage_that_goes_on_about_the_one_before_beats_a_stranger() -> None:
    story = artifact(f"The Albatross left port. {FILLER * 34}\n\n", f"Her captain slept. {FILLER * 30}")
    stranger = artifact(f"A captain slept. {FILLER * 30}")

    assert found(rank([stranger, story], "Albatross captain"))[1:] == [(1, 1), (0, 0)]


def test_a_rare_word_is_weighed_over_all_documents() -> None:
    # In its own document "sea" is everywhere and "rum" is rare; over both documents it is the other way round.
    dry = "The sea. " * 5
    wet = " ".join(["We drank rum all day long. " * 60] * 3)

    ranking = rank(documents(dry, wet), "rum sea")

    assert ranking.term_weights["sea"] > ranking.term_weights["rum"]


def test_several_documents_rank_like_one_that_holds_them_all() -> None:
    passages = [f"{word} {FILLER * 30}" for word in ("anchor", "anchor captain", "captain anchor captain", "rope")]
    together = artifact(*(f"{passage}\n\n" for passage in passages))
    apart = documents(*(f"{passage}\n\n" for passage in passages))

    whole, parts = rank([together], "captain"), rank(apart, "captain")

    assert together.n_passages == len(passages)
    assert [hit.passage for hit in whole.hits] == [hit.document for hit in parts.hits]
    assert [hit.score for hit in whole.hits] == pytest.approx([hit.score for hit in parts.hits])


def test_equal_passages_keep_the_order_of_the_documents() -> None:
    assert found(rank(documents(LOG[1], LOG[1], LOG[1]), "treasure")) == [(0, 0), (1, 0), (2, 0)]


def test_no_more_than_the_limit_comes_back() -> None:
    assert found(rank(documents(*LOG * 5), "captain treasure", limit=3)) == [(1, 0), (4, 0), (7, 0)]


@pytest.mark.parametrize("question", ["", "?!", "zeppelin"])
def test_a_question_without_a_match_finds_nothing(question: str) -> None:
    ranking = rank(documents(*LOG), question)

    assert (ranking.hits, ranking.coverage) == ([], 0.0)


def test_without_documents_nothing_is_found() -> None:
    assert rank([], "treasure").hits == []


def test_coverage_is_whole_where_two_sentences_have_every_term() -> None:
    assert rank(documents(*LOG), "Which captain hid treasures?").coverage == pytest.approx(1.0)


def test_coverage_is_small_where_the_subject_is_missing() -> None:
    assert rank(documents(*LOG), "When did the captain buy his zeppelin?").coverage < 0.4


def test_terms_that_are_borrowed_find_but_do_not_cover() -> None:
    ranking = rank(documents(*LOG), "Who hid it?", extra_terms=("treasure",))

    assert (found(ranking)[0], "treasur" in ranking.term_weights, ranking.coverage) == ((1, 0), True, 1.0)


def test_an_endless_question_is_answered_from_its_rarest_words() -> None:
    question = "captain " * 2000 + "treasure"

    assert found(rank(documents(*LOG), question)) == found(rank(documents(*LOG), "captain treasure"))
