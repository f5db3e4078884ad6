from __future__ import annotations

from factories.evidences import evidence
from longscroll.engines.scoring import Question, score_sentences

WEIGHTS = {"tesla": 3.0, "die": 4.0, "born": 4.0, "york": 2.0}
LIFE = "Tesla was born in Smiljan. He moved to New York. He died there in 1943. Others lived on."


def best(question: str, weights: dict[str, float], *texts: str) -> str:
    return score_sentences(Question(question, weights), evidence(*texts).passages)[0].text


def test_the_sentence_with_the_rare_terms_of_the_question_comes_first() -> None:
    assert best("When did Tesla die?", {"tesla": 3.0, "die": 4.0}, LIFE) == "He died there in 1943."
    assert best("Where was Tesla born?", {"tesla": 3.0, "born": 4.0}, LIFE) == "Tesla was born in Smiljan."


def test_words_are_compared_by_their_stems() -> None:
    found = Question("What makes people happy?", {"happi": 3.0}).hits("Happiness: they are happy, unhappy or happier.")
    assert [term for _, term in found] == ["happi", "happi"]


def test_pairs_of_chinese_characters_are_found_across_a_line_end() -> None:
    found = Question("战国", {"战国": 2.0}).hits("这是战\n国时代的战国。")
    assert found == [(2, "战国"), (8, "战国")]


def test_chinese_sentences_are_ranked_by_pairs_and_single_characters() -> None:
    weights = {"馆长": 3.0, "开馆": 3.0}
    text = "图书馆开馆很早。馆长林若溪带领馆员工作。其他人也来。"
    assert best("馆长叫什么？", weights, text) == "馆长林若溪带领馆员工作。"


def test_nothing_is_scored_where_no_term_stands() -> None:
    assert score_sentences(Question("Tesla?", {"tesla": 3.0}), evidence("No word of it here.").passages) == []
    assert score_sentences(Question("Tesla?", {"tesla": 3.0}), ()) == []


def test_a_span_is_counted_in_the_document_not_in_the_passage() -> None:
    scored = score_sentences(Question("Tesla?", {"tesla": 3.0}), evidence("First. Then Tesla came.").passages)[0]
    assert (scored.text, scored.span) == ("Then Tesla came.", (107, 123))


def test_the_measure_asked_for_counts_less_than_what_is_measured() -> None:
    text = "The cable is ten metres long. The warranty is 24 months."
    assert best("How long is the warranty?", {"long": 1.0, "warranti": 1.0}, text) == "The warranty is 24 months."


def test_a_row_that_is_nothing_but_what_was_asked_for_wins() -> None:
    receipt = "SUBTOTAL $63.91\n-----\nTOTAL $82.14\n-----\nPoints earned: 821\nTotal points: 3,247\n"
    assert best("What is the total?", {"total": 3.0}, receipt) == "TOTAL $82.14"
    assert best("How many total points?", {"total": 3.0, "point": 3.0}, receipt) == "Total points: 3,247"
