from __future__ import annotations

import msgspec
import pytest

from longscroll.errors import InvalidParameter
from longscroll.protocols.conversation import NO_CONTENT, NO_MESSAGES, WireMessage, to_messages
from longscroll.protocols.parameters import BAD_CONTENT, BAD_MESSAGE
from longscroll.services.references import NO_USER
from longscroll.types import Message

DECODER = msgspec.json.Decoder(list[WireMessage])


def converted(text: str) -> tuple[Message, ...]:
    return to_messages(DECODER.decode(text.encode()))


@pytest.mark.item(100)
@pytest.mark.parametrize(
    ("role", "expected"),
    [("developer", "system"), ("attachment", "system"), ("bot", "assistant"), ("tool", "tool"), ("user", "user")],
)
def test_every_documented_role_has_its_meaning(role: str, expected: str) -> None:
    messages = converted(f'[{{"role":"{role}","content":"a"}},{{"role":"user","content":"b"}}]')
    assert [message.role for message in messages] == [expected, "user"]


@pytest.mark.item(99)
def test_text_parts_are_joined_without_a_separator() -> None:
    text = '[{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"},{"type":"text","text":""}]}]'
    assert converted(text) == (Message(role="user", content="ab"),)


@pytest.mark.item(130)
def test_file_parts_become_documents() -> None:
    text = '[{"role":"user","content":[{"type":"file","file":{"file_id":"f-1"}},{"type":"text","text":"a"}]}]'
    assert converted(text) == (Message(role="user", content="a", file_ids=("f-1",)),)


def test_calls_of_tools_need_no_content_and_results_say_what_they_answer() -> None:
    text = (
        '[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1"}]},'
        '{"role":"tool","content":"b","tool_call_id":"c1","name":"f"}]'
    )
    assert converted(text)[1:] == (
        Message(role="assistant", content="", tool_calls=b'[{"id":"c1"}]'),
        Message(role="tool", content="b", tool_call_id="c1", name="f"),
    )


@pytest.mark.item(98)
def test_an_assistant_turn_may_be_last_when_it_is_to_be_continued() -> None:
    text = '[{"role":"user","content":"a"},{"role":"assistant","content":"b","partial":true}]'
    assert converted(text)[-1] == Message(role="assistant", content="b", is_partial=True)


def test_an_earlier_turn_is_not_continued() -> None:
    text = '[{"role":"assistant","content":"b","partial":true},{"role":"user","content":"a","partial":true}]'
    assert [message.is_partial for message in converted(text)] == [False, False]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", NO_MESSAGES),
        ('[{"role":"narrator","content":"a"}]', BAD_MESSAGE),
        ('[{"content":"a"}]', BAD_MESSAGE),
        ('[{"role":"user"}]', NO_CONTENT),
        ('[{"role":"user","content":null}]', NO_CONTENT),
        ('[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]', BAD_CONTENT),
        ('[{"role":"user","content":[{"type":"file","file":{}}]}]', BAD_CONTENT),
        ('[{"role":"user","content":[{"type":"doc_url","doc_url":["https://x"]}]}]', BAD_CONTENT),
        ('[{"role":"user","content":"a"},{"role":"system","content":"b"}]', NO_USER),
        ('[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]', NO_USER),
        ('[{"role":"tool","content":"a"}]', NO_USER),
        ('[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{}]}]', NO_USER),
        ('[{"role":"user","content":"a"},{"role":"system","content":"b","partial":true}]', NO_USER),
    ],
)
def test_what_nobody_can_answer_is_refused_in_the_documented_words(text: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        converted(text)
    assert (str(caught.value), caught.value.param) == (words, "messages")
