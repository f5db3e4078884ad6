"""Which text of a conversation is behavior, which a document, which the question (PROTOCOL.md §6.1)."""

from __future__ import annotations

import pytest

from longscroll.errors import InvalidParameter, TooManyFiles
from longscroll.services.references import Conversation, FileReference, InlineDocument, Part, read_conversation
from longscroll.types import Message


def conversation(*turns: tuple[str, str]) -> Conversation:
    messages = [Message(role=role, content=content) for role, content in turns]  # type: ignore[arg-type]
    return read_conversation(messages, count=len)


def references(*ids: str) -> tuple[FileReference, ...]:
    return tuple(FileReference(file_id) for file_id in ids)


def test_a_behavior_prompt_a_reference_and_a_question() -> None:
    read = conversation(
        ("system", "You are a helpful assistant."), ("system", "fileid://file-fe-1"), ("user", "这篇文章讲了什么?")
    )
    assert read == Conversation(
        behavior=("You are a helpful assistant.",),
        documents=references("file-fe-1"),
        history=(),
        question="这篇文章讲了什么?",
        parts=(
            Part("system", "You are a helpful assistant.", ()),
            Part("system", "", ("file-fe-1",)),
            Part("user", "这篇文章讲了什么?", ()),
        ),
    )


@pytest.mark.parametrize(
    "content",
    [
        "fileid://file-fe-1,fileid://file-fe-2",
        "fileid://file-fe-1, fileid://file-fe-2",
        "fileid://file-fe-1;fileid://file-fe-2",
        "fileid://file-fe-1，fileid://file-fe-2",
        "fileid://file-fe-1\nfileid://file-fe-2",
        " fileid://file-fe-1,file-fe-2 ",
        "fileid://file-fe-1,fileid://file-fe-2,fileid://file-fe-1",
    ],
)
def test_every_separator_gives_the_same_two_documents(content: str) -> None:
    assert conversation(("system", content), ("user", "?")).documents == references("file-fe-1", "file-fe-2")


@pytest.mark.item(61)
def test_two_messages_name_the_same_documents_as_one_list() -> None:
    apart = conversation(("system", "fileid://file-fe-1"), ("system", "fileid://file-fe-2"), ("user", "?"))
    together = conversation(("system", "fileid://file-fe-1,fileid://file-fe-2"), ("user", "?"))
    assert apart.documents == together.documents == references("file-fe-1", "file-fe-2")


def test_the_second_system_text_is_an_inline_document() -> None:
    read = conversation(("system", "Be brief."), ("system", "春天来了。"), ("system", "花开了。"), ("user", "?"))
    assert read.behavior == ("Be brief.",)
    assert read.documents == (InlineDocument("春天来了。"), InlineDocument("花开了。"))


def test_a_lone_short_system_message_is_behavior() -> None:
    assert conversation(("system", "Be brief."), ("user", "?")).behavior == ("Be brief.",)


def test_a_lone_long_system_message_is_a_document() -> None:
    read = conversation(("system", "x" * 2001), ("user", "?"))
    assert (read.behavior, read.documents) == ((), (InlineDocument("x" * 2001),))


def test_words_around_a_reference_stay_behavior() -> None:
    read = conversation(("system", "请参考 fileid://file-fe-1 回答"), ("user", "?"))
    assert (read.documents, read.behavior) == (references("file-fe-1"), ("请参考  回答",))


def test_a_reference_in_the_question_is_taken_out_of_it() -> None:
    read = conversation(("user", "fileid://file-fe-1\nWhat is this about?"))
    assert (read.documents, read.question) == (references("file-fe-1"), "What is this about?")


@pytest.mark.item(60)
def test_a_document_that_comes_after_an_answer_is_added() -> None:
    read = conversation(
        ("system", "fileid://file-fe-1"),
        ("user", "First?"),
        ("assistant", "One. See fileid://file-fe-9"),
        ("system", "fileid://file-fe-2"),
        ("user", "And now?"),
    )
    assert read.documents == references("file-fe-1", "file-fe-2")
    assert [turn.content for turn in read.history] == ["First?", "One. See fileid://file-fe-9"]
    assert read.question == "And now?"


def test_content_parts_name_documents_too() -> None:
    message = Message(role="user", content="What is this?", file_ids=("file-fe-1",))
    assert read_conversation([message], count=len).documents == references("file-fe-1")


@pytest.mark.item(73)
def test_a_hundred_files_are_allowed_and_one_more_is_not() -> None:
    ids = [f"fileid://file-fe-{n}" for n in range(101)]
    assert len(conversation(("system", ",".join(ids[:100])), ("user", "?")).documents) == 100
    with pytest.raises(TooManyFiles):
        conversation(("system", ",".join(ids)), ("user", "?"))


def test_a_conversation_without_a_user_turn_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="role of user"):
        conversation(("system", "Be brief."))
