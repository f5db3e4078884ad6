from __future__ import annotations

import pytest

from longscroll.engines.instructions import language_asked_for, without_instructions


@pytest.mark.parametrize(
    ("question", "subject", "language"),
    [
        ("用英文回答：如何设置 locale？", "如何设置 locale？", "en"),
        ("他是谁？请用中文回答。", "他是谁？", "zh"),
        ("他是谁请用英文回答一下", "他是谁", "en"),
        ("用英文总结这篇文章", "总结这篇文章", "en"),
        ("Who is it? Answer in Chinese.", "Who is it?", "zh"),
        ("Please answer in English: 谁是馆长", "谁是馆长", "en"),
        ("Please, who is it?", "who is it?", None),
    ],
)
def test_what_is_said_of_the_answer_is_told_from_what_is_asked(
    question: str, subject: str, language: str | None
) -> None:
    assert (without_instructions(question), language_asked_for(question)) == (subject, language)


@pytest.mark.parametrize(
    "question",
    [
        "哪些章节是用英文写的？",
        "以中文为母语的人有多少？",
        "What does the contract say about write in English?",
        "What is “hello” in Chinese?",
    ],
)
def test_a_question_about_a_language_is_no_instruction(question: str) -> None:
    assert (without_instructions(question), language_asked_for(question)) == (question, None)


def test_a_message_that_is_only_an_instruction_stays() -> None:
    assert without_instructions("请用英文回答。") == "请用英文回答。"


def test_a_behavior_may_always_ask() -> None:
    assert language_asked_for("You are helpful. Always answer in English.") == "en"
    assert language_asked_for("你是助手，始终用中文回答") == "zh"
