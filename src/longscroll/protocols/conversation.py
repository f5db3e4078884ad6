"""Messages as both protocols send them, to messages of the domain.

Knows roles, content parts and the documented refusals (PROTOCOL.md §3.1, §4.1, §9.1); which message is a document is
decided by ``services``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from longscroll.errors import InvalidParameter
from longscroll.protocols.exchange import Request
from longscroll.protocols.extensions import Options
from longscroll.protocols.parameters import BAD_CONTENT, BAD_MESSAGE, Parameters, check_response_format, to_sampling
from longscroll.services.references import NO_USER
from longscroll.types import ChatRequest, Message

Role = Literal["system", "user", "assistant", "tool"]

NO_MESSAGES = "Role must be user or assistant and Content length must be greater than 0"
NO_CONTENT = "The content field is a required field."

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "attachment": "system",
    "user": "user",
    "assistant": "assistant",
    "bot": "assistant",
    "tool": "tool",
}


class PartFile(Struct, kw_only=True):
    """The ``file`` of a content part."""

    file_id: str | None = None


class ContentPart(Struct, kw_only=True):
    """One part of a content list; a text part may come without its type."""

    type: str | None = None
    text: str | None = None
    file: PartFile | None = None


class WireMessage(Struct, kw_only=True):
    """One message as sent; further keys are ignored."""

    role: str | None = None
    content: str | list[ContentPart] | UnsetType | None = UNSET
    partial: bool = False
    tool_calls: list[Any] | None = None


def to_messages(messages: Sequence[WireMessage]) -> tuple[Message, ...]:
    """Return the messages of a request in the words of the domain.

    Raises:
        InvalidParameter: no message, an unknown role, content missing or of a kind nobody reads, nothing to answer.
    """
    if not messages:
        raise InvalidParameter(NO_MESSAGES, param="messages")
    converted = tuple(_to_message(message) for message in messages)
    last = next((position for position in reversed(range(len(converted))) if converted[position].role != "tool"), None)
    if last is None or not (converted[last].role == "user" or messages[last].partial):
        raise InvalidParameter(NO_USER, param="messages")
    return converted


def to_chat_request(
    request: Request, model: str, messages: tuple[Message, ...], *, parameters: Parameters, options: Options | None
) -> ChatRequest:
    """Return what the chat service is asked, from parameters that are already checked.

    Raises:
        InvalidParameter: a ``response_format`` that cannot be held to.
    """
    check_response_format(parameters, (message.content for message in messages))
    options = options or Options()
    return ChatRequest(
        workspace=request.principal.workspace,
        request_id=request.id,
        model=model,
        messages=messages,
        sampling=to_sampling(parameters),
        citations=options.citations,
        wants_report=options.report,
        wants_partial=options.partial,
    )


def _to_message(message: WireMessage) -> Message:
    role = _ROLES.get(message.role or "")
    if role is None:
        raise InvalidParameter(BAD_MESSAGE, param="messages")
    content = message.content
    if isinstance(content, str):
        return Message(role=role, content=content)
    if isinstance(content, list):
        return _join_parts(role, content)
    if message.tool_calls:
        return Message(role=role, content="")
    raise InvalidParameter(NO_CONTENT, param="messages")


def _join_parts(role: Role, parts: Sequence[ContentPart]) -> Message:
    texts: list[str] = []
    file_ids: list[str] = []
    for part in parts:
        if part.type == "file" and part.file is not None and part.file.file_id:
            file_ids.append(part.file.file_id)
        elif part.type in (None, "text") and part.text is not None:
            texts.append(part.text)
        else:
            raise InvalidParameter(BAD_CONTENT, param="messages")
    return Message(role=role, content="".join(texts), file_ids=tuple(file_ids))
