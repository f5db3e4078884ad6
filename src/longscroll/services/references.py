"""From messages to a conversation: which text is behavior, which a document, which the question.

The rules are PROTOCOL.md §6.1. Knows nothing of files but the form of their references.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from longscroll.errors import InvalidParameter, TooManyFiles
from longscroll.types import Message

MAX_FILES = 100
"""File ids that one request may name."""

MAX_LIST_CHARS = 64 * 1024
"""A longer text is no list of references, whatever it begins with."""

LONE_SYSTEM_DOCUMENT_TOKENS = 2000
"""A lone system message longer than this is read as a document, not as behavior."""

NO_USER = "The input messages do not contain elements with the role of user."

SCHEME = "fileid://"
_SEPARATORS = re.compile(r"[,;，；\s]+")
_REFERENCE = re.compile(r"fileid://([^\s,;，；。、)）\]】\"'<>]+)")
_BARE_ID = re.compile(r"file-[A-Za-z0-9_-]{1,80}")


class FileReference(Struct, frozen=True):
    """A document named by the id of an uploaded file."""

    file_id: str


class InlineDocument(Struct, frozen=True):
    """A document that came as the text of a message."""

    text: str


class Part(Struct, frozen=True):
    """One message as it is billed: its text without references, calls of tools too, and the files it names first."""

    role: str
    text: str
    file_ids: tuple[str, ...]


class Conversation(Struct, frozen=True, kw_only=True):
    """One request, understood: documents in order of first mention, then who says what."""

    behavior: tuple[str, ...]
    documents: tuple[FileReference | InlineDocument, ...]
    history: tuple[Message, ...]  # turns before the question; no system message
    question: str
    following: tuple[Message, ...] = ()  # turns after it: calls of tools, their results, a partial answer
    parts: tuple[Part, ...] = ()  # every message, in order

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The ids of the referenced files, each once."""
        return tuple(document.file_id for document in self.documents if isinstance(document, FileReference))


def read_conversation(messages: Sequence[Message], *, count: Callable[[str], int]) -> Conversation:
    """Sort the messages of a request into behavior, documents, history and question.

    Args:
        messages: the request's messages, in order.
        count: counts the tokens of a text; called for a lone system message only.

    Raises:
        InvalidParameter: there is no user turn to answer.
        TooManyFiles: more than ``MAX_FILES`` ids.
    """
    behavior: list[str] = []
    documents: list[FileReference | InlineDocument] = []
    turns: list[Message] = []
    parts: list[Part] = []
    for message in messages:
        file_ids, rest = _split_references(message)
        references = [FileReference(file_id) for file_id in dict.fromkeys(file_ids)]
        billed = rest + (message.tool_calls.decode() if message.tool_calls else "")
        parts.append(Part(message.role, billed, tuple(r.file_id for r in references if r not in documents)))
        documents += references
        if message.role != "system":
            turns.append(structs.replace(message, content=rest, file_ids=()))
        elif rest and (file_ids or not behavior):
            behavior.append(rest)
        elif rest:
            documents.append(InlineDocument(rest))
    if _is_lone_document(messages, documents, behavior, count):
        documents, behavior = [InlineDocument(behavior[0])], []
    unique = tuple(dict.fromkeys(documents))
    if sum(isinstance(document, FileReference) for document in unique) > MAX_FILES:
        raise TooManyFiles
    position = _last_question(turns)
    return Conversation(
        behavior=tuple(behavior),
        documents=unique,
        history=tuple(turns[:position]),
        question=turns[position].content,
        following=tuple(turns[position + 1 :]),
        parts=tuple(parts),
    )


def _split_references(message: Message) -> tuple[list[str], str]:
    """Return the file ids a message names and the text that is left.

    A system message made of references only may name further ids bare, after a comma. Elsewhere only ``fileid://``
    names a file; assistant and tool turns name none.
    """
    text = message.content
    if message.role in ("assistant", "tool") or SCHEME not in text:
        return list(message.file_ids), text
    is_list = len(text) <= MAX_LIST_CHARS and text.lstrip().startswith(SCHEME)
    parts = [part for part in _SEPARATORS.split(text.strip()) if part] if is_list else []
    if parts and all(part.startswith(SCHEME) or _BARE_ID.fullmatch(part) for part in parts):
        return [*message.file_ids, *(part.removeprefix(SCHEME) for part in parts)], ""
    return [*message.file_ids, *_REFERENCE.findall(text)], _REFERENCE.sub("", text).strip()


def _is_lone_document(
    messages: Sequence[Message],
    documents: Sequence[FileReference | InlineDocument],
    behavior: Sequence[str],
    count: Callable[[str], int],
) -> bool:
    n_system = sum(message.role == "system" for message in messages)
    if documents or n_system != 1 or len(behavior) != 1 or len(behavior[0]) <= LONE_SYSTEM_DOCUMENT_TOKENS:
        return False
    return count(behavior[0]) > LONE_SYSTEM_DOCUMENT_TOKENS


def _last_question(turns: Sequence[Message]) -> int:
    for position in range(len(turns) - 1, -1, -1):
        if turns[position].role == "user":
            return position
    raise InvalidParameter(NO_USER, param="messages")
