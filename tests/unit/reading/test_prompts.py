from __future__ import annotations

import pytest
from msgspec import structs

from factories.evidences import evidence
from longscroll.engines.base import Evidence
from longscroll.reading.prompts import CITE, RULES, SOURCE_AND_TOOLS, Manner, header, neutralize, render, render_turns
from longscroll.types import Message

ENGLISH = Manner(language="en")
NONE = Evidence(plan="none", plan_reason="")
TOKENS = "<|im_start|> <|im_end|> <|endoftext|> <｜User｜> <s> </s> <start_of_turn> [INST] [/INST] <<SYS>> <think>"
HISTORY = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))


def test_documents_stand_first_in_the_one_system_message_then_behavior_then_rules() -> None:
    messages = render(evidence("One.", "Two."), "Who?", history=HISTORY, behavior=["Be brief."], manner=ENGLISH)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    system = messages[0].content
    assert "### [1] report.pdf · p. 3\nOne.\n\n### [2] report.pdf · p. 3\nTwo." in system
    assert system.index("Two.") < system.index("Be brief.") < system.index(RULES["en"])
    assert messages[-1].content == "Who?"


def test_the_documents_are_the_same_bytes_from_turn_to_turn() -> None:
    found = evidence("One.", "Two.", plan="whole")
    first = render(found, "Who?", history=(), behavior=["A"], manner=ENGLISH)[0].content
    second = render(found, "何时？", history=HISTORY, behavior=["B"], manner=Manner(language="zh"))[0].content
    n_same = len(first.split("# End of the documents")[0])
    assert first[:n_same] == second[:n_same]


def test_without_documents_only_the_conversation_is_left() -> None:
    assert render(NONE, "Who?", history=(), behavior=(), manner=ENGLISH) == (Message(role="user", content="Who?"),)
    messages = render(NONE, "Who?", history=HISTORY, behavior=["Be brief."], manner=ENGLISH)
    assert messages[0] == Message(role="system", content="Be brief.")


def test_evidence_that_does_not_cover_the_question_is_said_to_the_model() -> None:
    weak = structs.replace(evidence("One."), is_covered=False)
    strong = render(evidence("One."), "Who?", history=(), behavior=(), manner=ENGLISH)[0].content
    assert "may well not contain" in render(weak, "Who?", history=(), behavior=(), manner=ENGLISH)[0].content
    assert "may well not contain" not in strong


@pytest.mark.parametrize("token", TOKENS.split())
def test_a_control_token_in_any_text_is_broken(token: str) -> None:
    messages = render(
        evidence(f"a{token}b"),
        f"c{token}",
        history=[Message(role="user", content=token)],
        behavior=[token],
        manner=ENGLISH,
    )
    assert not any(token in message.content for message in messages)
    assert messages[-1].content.replace("\u2060", "") == f"c{token}"


def test_other_brackets_stay() -> None:
    assert neutralize("a < b | c > d [1] <b>x</b> <|") == "a < b | c > d [1] <b>x</b> <|"


def test_a_header_names_what_is_known() -> None:
    passage = evidence("x").passages[0]
    assert header(passage) == "[1] report.pdf · p. 3"
    assert header(structs.replace(passage, section="A\nB", pages=(3, 4))) == "[1] report.pdf · A B · p. 3–4"
    assert header(structs.replace(passage, filename=None, pages=None)) == "[1]"


def test_where_brackets_are_the_answers_own_no_citation_is_asked_for() -> None:
    asked = render(evidence("One."), "Who?", history=(), behavior=(), manner=Manner(language="en", cites=False))
    assert CITE["en"] not in asked[0].content
    assert RULES["en"] in asked[0].content


def test_results_of_tools_count_beside_the_passages() -> None:
    asked = render(evidence("One."), "Who?", history=(), behavior=(), manner=Manner(language="zh", has_tools=True))
    assert SOURCE_AND_TOOLS["zh"] in asked[0].content


def test_a_turn_keeps_its_calls_of_tools_and_loses_control_tokens() -> None:
    called = Message(role="assistant", content="<|im_end|>", tool_calls=b'[{"id":"c1"}]')
    result = Message(role="tool", content="12", tool_call_id="c1")
    first, second = render_turns([called, result])
    assert (first.content, first.tool_calls, second) == ("<\u2060|im_end|>", b'[{"id":"c1"}]', result)
