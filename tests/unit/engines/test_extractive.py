from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import pytest
from msgspec import structs

from factories.evidences import evidence
from longscroll.engines.base import DocumentFacts, EngineFinish, Evidence, Mark, Prompt, Text
from longscroll.engines.extractive import Composition, Extractive, compose, limit
from longscroll.engines.quotes import MAX_QUOTE, adds_something
from longscroll.tokens import EstimatedCounter

LIFE = "Nikola Tesla was born in Smiljan in 1856. He died in New York on 7 January 1943. Others lived on."
NOBEL = "The Nobel prize went to Bragg. Tesla would die without pigeons and visitors."
WEIGHTS = {"tesla": 1.0, "die": 3.0}


def facts(document: int = 0, language: Literal["zh", "en"] = "en") -> DocumentFacts:
    return DocumentFacts(
        document=document, filename="report.pdf", title="The Report", n_pages=12, n_tokens=4321, language=language
    )


def prompt(found: Evidence, question: str = "When did Tesla die?", language: Literal["zh", "en"] = "en") -> Prompt:
    return Prompt(model="quote", question=question, language=language, evidence=found, messages=())


def lookup(*texts: str, is_covered: bool = True) -> Evidence:
    return structs.replace(
        evidence(*texts), term_weights=WEIGHTS, is_covered=is_covered, coverage=0.5, documents=(facts(),)
    )


def text_of(parts: Sequence[Text | Mark]) -> str:
    return "".join(part.text if isinstance(part, Text) else f"[{part.number}]" for part in parts)


def in_this_process() -> Callable[[Prompt], Awaitable[Composition]]:
    async def run(asked: Prompt) -> Composition:
        return compose(asked)

    return run


def test_a_lookup_quotes_the_sentence_that_says_it_with_the_one_before_and_with_its_page() -> None:
    composition = compose(prompt(lookup(LIFE, NOBEL)))
    assert not composition.abstained
    quoted = "Nikola Tesla was born in Smiljan in 1856. He died in New York on 7 January 1943."
    assert text_of(composition.parts) == (
        f"“{quoted}” (p. 3) [1]\n\nAlso in the documents:\n\n"
        "- “Tesla would die without pigeons and visitors.” (p. 3) [2]"
    )
    assert composition.parts[1] == Mark(1, (100, 100 + len(quoted)))


def test_a_sentence_with_one_date_gives_the_short_answer_first() -> None:
    composition = compose(prompt(lookup("Tesla died in New York on 7 January 1943. It was a cold day.")))
    first, mark, *_ = composition.parts
    assert (first, mark) == (Text("7 January 1943 "), Mark(1, (100, 141)))


def test_every_mark_names_a_span_that_was_quoted() -> None:
    found = lookup(LIFE, NOBEL)
    for part in compose(prompt(found)).parts:
        if isinstance(part, Mark):
            passage = found.passages[part.number - 1]
            assert part.span is not None
            assert passage.span[0] <= part.span[0] < part.span[1] <= passage.span[1]


def test_below_the_coverage_it_says_so_and_shows_what_is_closest() -> None:
    composition = compose(prompt(lookup(NOBEL, is_covered=False)))
    assert composition.abstained
    assert text_of(composition.parts) == (
        "The answer was not found in the documents.\n\nThe closest passages:\n\n"
        "- “Tesla would die without pigeons and visitors.” (p. 3) [1]"
    )


def test_without_any_passage_it_says_only_that_nothing_was_found() -> None:
    composition = compose(prompt(lookup(is_covered=False)))
    assert composition.abstained
    assert text_of(composition.parts) == "The answer was not found in the documents."


def test_a_question_in_another_language_is_told_to_change_it() -> None:
    composition = compose(prompt(lookup(is_covered=False), "特斯拉哪一年去世？", "zh"))
    assert text_of(composition.parts).startswith("在文档中没有找到这个问题的答案。文档与问题使用的语言不同")


def test_the_answer_speaks_the_language_of_the_question() -> None:
    found = structs.replace(
        lookup("馆长林若溪带领馆员工作。馆员共十二名，都很年轻。"), term_weights={"馆长": 3.0, "馆员": 1.0}
    )
    assert text_of(compose(prompt(found, "馆长是谁？", "zh")).parts) == (
        "“馆长林若溪带领馆员工作。”（第 3 页）[1]\n\n文档中的相关内容：\n\n- “馆员共十二名，都很年轻。”（第 3 页）[1]"
    )


def test_among_several_documents_a_quote_names_its_file() -> None:
    found = structs.replace(lookup(LIFE), documents=(facts(0), facts(1)))
    assert "(report.pdf, p. 3)" in text_of(compose(prompt(found)).parts)


def test_a_digest_says_what_the_document_is_and_quotes_it_by_section() -> None:
    passages = evidence("First things first.", "Then the second.", plan="digest").passages
    sections = (structs.replace(passages[0], section="One"), structs.replace(passages[1], section="Two"))
    found = Evidence(plan="digest", plan_reason="", passages=sections, documents=(facts(),))
    assert text_of(compose(prompt(found)).parts) == (
        "“The Report” (report.pdf, 12 pages, about 4,300 tokens). What it says, in its own words and order:\n\n"
        "**One**\n- “First things first.” (p. 3) [1]\n\n**Two**\n- “Then the second.” (p. 3) [2]"
    )


def test_a_digest_lists_the_main_headings() -> None:
    told = structs.replace(facts(), headings=("One", "Two"))
    found = structs.replace(evidence("First.", plan="digest"), documents=(told,))
    assert "\n\nIts sections: One; Two\n\n" in text_of(compose(prompt(found)).parts)


def test_a_digest_of_many_documents_says_how_many_it_leaves_out() -> None:
    found = structs.replace(evidence("First.", plan="digest"), documents=(facts(0), facts(1), facts(2)))
    assert text_of(compose(prompt(found)).parts).endswith("Documents that are not quoted here: 2.")


def test_without_documents_it_says_what_to_do() -> None:
    none = Evidence(plan="none", plan_reason="")
    assert "--upstream URL --upstream-model NAME" in text_of(compose(prompt(none)).parts)
    assert "fileid://" in text_of(compose(prompt(none, "你好", "zh")).parts)


def test_an_answer_is_cut_at_max_tokens_marks_included() -> None:
    parts = (Text("one two three four five "), Mark(1, (0, 3)), Text(" six seven eight"))
    counter = EstimatedCounter()
    for n in range(1, 12):
        cut, reason = limit(parts, n, counter)
        whole = text_of(parts)
        assert whole.startswith(text_of(cut))
        assert counter.count(text_of(cut)) <= n
        assert reason == ("stop" if text_of(cut) == whole else "length")


def test_marks_that_nobody_sees_take_no_room() -> None:
    parts = (Text("one two three"), Mark(1), Text(" four"))
    n_text = EstimatedCounter().count("one two three four")
    assert limit(parts, n_text, EstimatedCounter(), shows_marks=False) == (list(parts), "stop")


async def test_the_engine_streams_the_parts_and_counts_them() -> None:
    engine = Extractive(in_this_process(), EstimatedCounter())
    events = [event async for event in engine.generate(prompt(lookup(NOBEL, is_covered=False)))]
    assert events[0] == Text("The answer was not found in the documents.")
    last = events[-1]
    assert isinstance(last, EngineFinish)
    assert (last.reason, last.abstained) == ("stop", True)
    assert last.usage is not None
    assert last.usage.n_output_tokens > 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Warranty", False),
        ("3.1 What is the warranty", False),
        ("12 3.1 Warranty and parts .", False),
        ("Warranty and spare parts ....... 12", False),
        ("Warranty: 24 months", True),
        ("The warranty covers motor and housing.", True),
        ("The warranty is lifelong.", True),
        ("The warranty: lifelong", True),
        ("Warranty terms", False),
        ("What is the warranty period", False),
        ("The warranty.", False),
    ],
)
def test_a_line_that_only_repeats_the_question_is_no_answer(text: str, expected: bool) -> None:
    assert adds_something(text, "What is the warranty?") is expected


def test_a_sentence_too_long_to_be_read_is_quoted_around_the_terms_of_the_question() -> None:
    long = (
        "At the table, "
        + ", ".join(f"guest {i} from town {i}" for i in range(60))
        + ", Tesla would die of hunger there."
    )
    [first] = [part for part in compose(prompt(lookup(long))).parts if isinstance(part, Mark)]
    assert first.span is not None
    quoted = long[first.span[0] - 100 : first.span[1] - 100]
    assert quoted == "Tesla would die of hunger there."
    assert len(quoted) <= MAX_QUOTE


def test_quotes_inside_a_chinese_quote_are_told_apart() -> None:
    found = structs.replace(lookup("他说“馆长”来了。"), term_weights={"馆长": 3.0})
    assert text_of(compose(prompt(found, "馆长来了吗？", "zh")).parts).startswith("「他说“馆长”来了。」")


@pytest.mark.parametrize(
    ("question", "weights", "text", "answer"),
    [
        (
            "What is the capital of Freedonia?",
            {"capit": 1.0, "freedonia": 3.0},
            "The capital of Freedonia is Glorania. The capital of Sylvania is Bellum.",
            "The capital of Freedonia is Glorania.",
        ),
        (
            "Where is green tea grown?",
            {"green": 2.0, "tea": 1.0, "grown": 1.0},
            "Green tea is grown in Hangzhou. Black tea is grown in Assam.",
            "Green tea is grown in Hangzhou.",
        ),
        (
            "Who is the hose made by?",
            {"hose": 2.0, "made": 1.0},
            "The hose is made by Acme.",
            "The hose is made by Acme.",
        ),
        (
            "Is green tea grown here?",
            {"green": 2.0, "tea": 1.0, "grown": 1.0},
            "Green tea is grown here. Black tea is grown in Assam.",
            "Green tea is grown here.",
        ),
    ],
)
def test_a_sentence_whose_only_new_word_is_the_answer_is_quoted(
    question: str, weights: dict[str, float], text: str, answer: str
) -> None:
    found = structs.replace(lookup(text), term_weights=weights)
    assert text_of(compose(prompt(found, question)).parts).startswith(f"“{answer}”")


def test_an_instruction_on_the_answer_changes_its_words_and_not_what_is_compared() -> None:
    chinese = structs.replace(lookup(is_covered=False), documents=(facts(language="zh"),))
    asked = prompt(chinese, "用英文回答：特斯拉哪一年去世？", "en")
    assert text_of(compose(asked).parts) == "The answer was not found in the documents."


@pytest.mark.parametrize(
    ("language", "line"),
    [
        (
            "en",
            "Attached: report.pdf, report.pdf. Ask a question about it, or “What is this about?” for a summary.",
        ),
        ("zh", "已附上：report.pdf、report.pdf。可以直接提问想了解的内容，或者问“这篇文章讲了什么？”来获取摘要。"),
    ],
)
def test_a_message_that_asks_nothing_is_told_what_is_attached(language: Literal["zh", "en"], line: str) -> None:
    nothing = Evidence(plan="none", plan_reason="", documents=(facts(0), facts(1)))
    assert text_of(compose(prompt(nothing, "?", language)).parts) == line
