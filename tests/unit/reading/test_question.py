from __future__ import annotations

import pytest

from longscroll.reading.question import asks_nothing, implied_words, is_about_everything, subject_terms


@pytest.mark.parametrize(
    "question",
    [
        "这篇文章讲了什么？",
        "请总结这篇文档的主要内容",
        "帮我概括一下全文",
        "介绍一下这份文件",
        "文章主旨是什么？",
        "这两个文件分别讲了什么？",
        "用三句话概括本文",
        "What is this about?",
        "what's it about",
        "Summarize the document.",
        "Summarize this research report in three bullet points for a busy executive",
        "Give me an overview of this paper",
        "What are the key takeaways?",
        "TL;DR",
        "hello",
        "你好",
        "",
    ],
)
def test_a_question_about_the_whole_is_recognized(question: str) -> None:
    assert is_about_everything(question)


@pytest.mark.parametrize(
    "question",
    [
        "林黛玉讲了什么笑话",
        "特斯拉在演讲中说了什么？",
        "介绍一下特斯拉的晚年生活",
        "谁是作者",
        "《战国无双3》是由哪两个公司合作开发的？",
        "What does the overview section say about power supplies?",
        "What is Tesla about the Niagara project?",
        "Summarize the findings on lung cancer mortality",
        "Who wrote the book?",
        "How many pages does the specification allow for headers?",
    ],
)
def test_a_question_with_a_subject_of_its_own_is_not_about_the_whole(question: str) -> None:
    assert not is_about_everything(question)


def test_a_follow_up_borrows_the_subject_of_the_turn_before() -> None:
    assert subject_terms("When was it built?", ["Who designed the Eiffel tower?"]) == ("design", "eiffel", "tower")
    assert subject_terms("它有多高？", ["埃菲尔铁塔在哪里？"]) == ("埃菲", "菲尔", "尔铁", "铁塔")


def test_a_chain_of_follow_ups_reaches_back_to_its_subject() -> None:
    assert "eiffel" in subject_terms("And why?", ["Who designed the Eiffel tower?", "When was it built?"])


def test_a_question_with_a_subject_of_its_own_borrows_nothing() -> None:
    history = ["Who designed the Eiffel tower in Paris?"]
    assert subject_terms("Which company supplied steel girders for Brooklyn bridge?", history) == ()
    assert subject_terms("When was it built?", []) == ()


def test_words_for_documents_are_not_borrowed() -> None:
    assert subject_terms("Who is its author?", ["Summarize this document please"]) == ()


def test_a_question_of_measure_implies_what_is_measured() -> None:
    assert implied_words("How heavy is the pump?") == "weight weighs"
    assert implied_words("这台泵多重？") == "重量"
    assert implied_words("Who designed it?") == ""


@pytest.mark.parametrize(
    "message", ["", "?", "？？", "hello", "Hi there!", "你好", "您好，在吗？", "谢谢", "Thank you."]
)
def test_a_greeting_asks_nothing(message: str) -> None:
    assert asks_nothing(message)


@pytest.mark.parametrize(
    "message", ["What is this about?", "这篇文章讲了什么", "你好，馆长是谁？", "hello, Tesla?", "安?"]
)
def test_a_message_with_more_than_a_greeting_asks_something(message: str) -> None:
    assert not asks_nothing(message)


def test_words_of_any_script_are_a_subject() -> None:
    assert not is_about_everything("총 금액은 얼마입니까?")
    assert not is_about_everything("Кто построил башню?")
    assert is_about_everything("이 문서를 요약해 주세요")
