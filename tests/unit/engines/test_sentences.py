from __future__ import annotations

import pytest

from longscroll.engines.sentences import MAX_SENTENCE, is_chinese, is_chinese_text, one_line, sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:stop] for start, stop in sentence_spans(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Mr. Smith met Dr. J. R. Ewing, Ph.D. and paid.",
        "It cost $3.5 million, e.g. in the U.S. alone.",
        "See Fig. 3 and Eq. 4 for No. 5.",
        "He waited ... and left.",
        "版本 3.5 已于 2021.11 发布。",
        "“你好！”",
        "Is it (really?) so.",
    ],
)
def test_a_point_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert sentences(sentence) == [sentence]


def test_english_ends_at_points_before_white_space() -> None:
    assert sentences('It rained. "Why?" she said. He left! Then') == [
        "It rained.",
        '"Why?" she said.',
        "He left!",
        "Then",
    ]


def test_chinese_ends_at_full_stops_with_the_quotes_that_close_there() -> None:
    assert sentences("他说：“好。”走了……第二句？第三句") == ["他说：“好。”", "走了……", "第二句？", "第三句"]


def test_a_wrapped_sentence_goes_on_in_the_next_line() -> None:
    text = "This sentence is wrapped by the page that it\nstands on and ends here. The second\nis short."
    assert sentences(text) == [text[:69], text[70:]]


def test_wrapped_chinese_goes_on_in_the_next_line() -> None:
    assert sentences("这一行写满了整个页面的宽度没有\n标点所以下一行接着写完。") == [
        "这一行写满了整个页面的宽度没有\n标点所以下一行接着写完。"
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ["2.1 Heading", "The text below the heading is a good deal longer than it."],
        ["- one item of the list", "- another item of the list"],
        ["Name\tAge\tTown of birth", "Ada\t36\tLondon on the Thames"],
        ["| a | b |", "| 1 | 2 |"],
        ["第一章 概述", "这一章讲的是整个系统的结构和它的历史。"],
        ["（一）总则", "（二）细则"],
        ["Sales Tax (8.5%) $66.23", "=======================", "TOTAL $821.14", "Returns within 30 days"],
    ],
)
def test_headings_items_and_rows_end_with_their_line(lines: list[str]) -> None:
    assert sentences("\n".join(lines)) == lines


def test_an_empty_line_ends_whatever_stands_before_it() -> None:
    assert sentences("no end here\n\nnor here") == ["no end here", "nor here"]


def test_endless_text_is_cut_into_pieces_that_can_be_quoted() -> None:
    pieces = sentences("word " * 1000)
    assert max(map(len, pieces)) <= MAX_SENTENCE
    assert " ".join(pieces) == ("word " * 1000).strip()


def test_a_quote_is_shown_on_one_line() -> None:
    assert one_line("an exam-\nple of\n  text") == "an example of text"
    assert one_line("中文\n换行，\n再 写") == "中文换行，再 写"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("特斯拉 Tesla 是谁？", True),
        ("ドラえもん是谁画的？", True),
        ("What does 道 mean?", False),
        ("東京駅の住所は？", False),
        ("이 문서는 무엇에 관한 것입니까?", False),
        ("大韓民國의 수도는 어디입니까?", False),
        ("ما هذا؟", False),
        ("", False),
    ],
)
def test_the_language_of_a_question_is_told_by_its_characters(text: str, expected: bool) -> None:
    assert is_chinese(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("使用 Linux 的 locale 设置语言环境，详见手册。", True),
        ("東京都は日本の首都であり、世界でも最大の都市の一つである。", False),
        ("대한민국의 수도는 서울이다.", False),
        ("Hanzi such as 道 are rare here.", False),
    ],
)
def test_a_document_is_chinese_by_its_letters(text: str, expected: bool) -> None:
    assert is_chinese_text(text) is expected


def test_lines_of_a_label_and_a_value_are_kept_apart() -> None:
    assert sentences("Points earned: 821\nTotal points: 3,247\nNext reward: a gift card of fifty\nat 5,000 points") == [
        "Points earned: 821",
        "Total points: 3,247",
        "Next reward: a gift card of fifty\nat 5,000 points",
    ]
