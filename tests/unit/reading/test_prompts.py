from __future__ import annotations

import pytest
from msgspec import structs

from factories.evidences import evidence
from longscroll.engines.base import Evidence
from longscroll.reading.prompts import RULES, header, neutralize, render
from longscroll.types import Message

NONE = Evidence(plan="none", plan_reason="")
TOKENS = "<|im_start|> <|im_end|> <|endoftext|> <｜User｜> <s> </s> <start_of_turn> [INST] [/INST] <<SYS>> <think>"
HISTORY = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello"))


def test_documents_stand_first_in_the_one_system_message_then_behavior_then_rules() -> None:
    messages = render(evidence("One.", "Two."), "Who?", history=HISTORY, behavior=["Be brief."], language="en")
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    system = messages[0].content
    assert "### [1] report.pdf · p. 3\nOne.\n\n### [2] report.pdf · p. 3\nTwo." in system
    assert system.index("Two.") < system.index("Be brief.") < system.index(RULES["en"])
    assert messages[-1].content == "Who?"


def test_the_documents_are_the_same_bytes_from_turn_to_turn() -> None:
    found = evidence("One.", "Two.", plan="whole")
    first = render(found, "Who?", history=(), behavior=["A"], language="en")[0].content
    second = render(found, "何时？", history=HISTORY, behavior=["B"], language="zh")[0].content
    n_same = len(first.split("# End of the documents")[0])
    assert first[:n_same] == second[:n_same]


def test_without_documents_only_the_conversation_is_left() -> None:
    assert render(NONE, "Who?", history=(), behavior=(), language="en") == (Message(role="user", content="Who?"),)
    messages = render(NONE, "Who?", history=HISTORY, behavior=["Be brief."], language="en")
    assert messages[0] == Message(role="system", content="Be brief.")


def test_evidence_that_does_not_cover_the_question_is_said_to_the_model() -> None:
    weak = structs.replace(evidence("One."), is_covered=False)
    strong = render(evidence("One."), "Who?", history=(), behavior=(), language="en")[0].content
    assert "may well not contain" in render(weak, "Who?", history=(), behavior=(), language="en")[0].content
    assert "may well not contain" not in strong


@pytest.mark.parametrize("token", TOKENS.split())
def test_a_control_token_in_any_text_is_broken(token: str) -> None:
    messages = render(
        evidence(f"a{token}b"),
        f"c{token}",
        history=[Message(role="user", content=token)],
        behavior=[token],
        language="en",
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
