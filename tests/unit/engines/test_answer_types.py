from __future__ import annotations

import pytest

from longscroll.engines.answer_types import answer_type, candidates, has_unit, short_answer


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many ships sailed?", "number"),
        ("When did it end?", "date"),
        ("What did he see when he was young?", "other"),
        ("When he came, what did he see?", "other"),
        ("In what year was it built?", "date"),
        ("Who built it?", "person"),
        ("Which city is the capital?", "place"),
        ("Why did it fail?", "reason"),
        ("What is a trace tree?", "definition"),
        ("全年支出多少万元？", "number"),
        ("图书馆哪一年开馆？", "date"),
        ("馆长是谁？", "person"),
        ("它位于哪里？", "place"),
        ("为什么推迟？", "reason"),
        ("什么是自吸泵？", "definition"),
    ],
)
def test_a_question_waits_for_a_kind_of_answer(question: str, kind: str) -> None:
    assert answer_type(question) == kind


def test_what_the_question_says_itself_is_no_candidate() -> None:
    text = "In 1990 there were 12 ships and 3,400 men."
    found = [text[a:b] for a, b in candidates("number", text, "How many men did the 12 ships have?")]
    assert found == ["3,400"]


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("How many volunteers help?", "In 2019 sixty volunteers and 12 clerks worked there.", "sixty volunteers"),
        ("When was it founded?", "It was founded on 7 January 1943 in Halden.", "7 January 1943"),
        ("What percentage is paid?", "The state pays 47% of it.", "47%"),
        ("有多少名志愿者帮忙？", "十二名馆员和六十名志愿者。", "六十名志愿者"),
        ("保修期是多少个月？", "保修期为24个月，从2019年算起。", "24个月"),
        ("哪一年开馆？", "图书馆于2016年5月开馆。", "2016年5月"),
        ("When was it founded?", "It was founded in 1943 and closed in 1950.", None),
        ("Who founded it?", "It was founded in 1943.", None),
        ("How much was paid?", "It was paid in 1943.", None),
    ],
)
def test_the_short_answer_is_the_only_number_or_date_that_fits(question: str, text: str, answer: str | None) -> None:
    assert short_answer(question, text) == answer


def test_a_number_counts_only_with_what_is_counted() -> None:
    assert has_unit("How many ships sailed?", "The twelve old ships left.")
    assert not has_unit("How many ships sailed?", "The ships left at 12.")
    assert has_unit("有多少公里？", "全长548公里")
    assert not has_unit("有多少公里？", "全长548米")


def test_a_definition_is_a_sentence_that_says_what_the_thing_is() -> None:
    question = "What is a trace tree?"
    assert candidates("definition", "A trace tree is a set of traces.", question)
    assert candidates("definition", "We root a tree of traces (trace tree) there.", question)
    assert not candidates("definition", "It is rooted there, and a trace tree grows.", question)
    assert candidates("definition", "宏包是一种扩展。", "什么是宏包？")
    assert not candidates("definition", "它是使用宏包的文档。", "什么是宏包？")


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("How long is the warranty?", "The warranty is 24 months.", "24 months"),
        ("How heavy is the pump?", "It weighs 5 kilograms.", "5 kilograms"),
        ("How much does it cost?", "It costs $821.14 now.", "$821.14"),
        ("保修期多长？", "保修期为 24 个月。", "24 个月"),
        ("How large is the score?", "The score was 5 at night.", None),
        ("How old is it?", "It is 5 years old, not 6 years.", None),
    ],
)
def test_a_short_answer_has_its_unit_or_is_left_out(question: str, text: str, answer: str | None) -> None:
    assert short_answer(question, text) == answer
