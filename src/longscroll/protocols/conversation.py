"""Messages as both protocols send them, to messages of the domain.

Knows roles, content parts and the documented refusals (PROTOCOL.md §3.1, §4.1, §9.1); which message is a document is
decided by ``services``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from longscroll.errors import InvalidParameter
from longscroll.protocols.exchange import Request
from longscroll.protocols.extensions import Options
from longscroll.protocols.parameters import (
    BAD_CONTENT,
    BAD_MESSAGE,
    Parameters,
    SamplingParameters,
    to_form,
    to_sampling,
)
from longscroll.services.references import NO_USER
from longscroll.types import AnswerForm, ChatRequest, Message

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
    partial: bool | None = None
    tool_calls: list[dict[str, Raw]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


def to_messages(messages: Sequence[WireMessage]) -> tuple[Message, ...]:
    """Return the messages of a request in the words of the domain.

    Raises:
        InvalidParameter: no message, an unknown role, content missing or of a kind nobody reads, nothing to answer.
    """
    if not messages:
        raise InvalidParameter(NO_MESSAGES, param="messages")
    *earlier, last = messages
    converted = (*(_to_message(message) for message in earlier), _to_message(last, is_last=True))
    if not _can_be_answered(converted):
        raise InvalidParameter(NO_USER, param="messages")
    return converted


def to_chat_request(
    request: Request,
    model: str,
    messages: tuple[Message, ...],
    *,
    parameters: SamplingParameters,
    options: Options | None,
    is_streamed: bool,
) -> ChatRequest:
    """Return what the chat service is asked, from parameters that are already checked.

    Raises:
        InvalidParameter: a ``response_format`` that cannot be held to.
    """
    options = options or Options()
    form = AnswerForm()
    if isinstance(parameters, Parameters):
        form = to_form(parameters, (message.content for message in messages))
    return ChatRequest(
        workspace=request.principal.workspace,
        key_id=request.principal.key_id,
        request_id=request.id,
        surface=request.surface,
        is_streamed=is_streamed,
        counts_deltas=is_streamed and request.surface == "dashscope",  # nowhere else are they told
        is_exempt=request.is_exempt,
        model=model,
        messages=messages,
        sampling=to_sampling(parameters),
        form=form,
        citations=options.citations,
        wants_report=options.report,
        wants_partial=options.partial,
    )


def _can_be_answered(messages: Sequence[Message]) -> bool:
    """Tell whether a conversation ends in a question, in results of tools, or in an answer to go on with."""
    opener = next((message for message in reversed(messages) if message.role != "tool"), None)
    if opener is None or opener.role == "user":
        return opener is not None
    return opener.is_partial or (opener.tool_calls is not None and opener is not messages[-1])


def _to_message(message: WireMessage, *, is_last: bool = False) -> Message:
    role = _ROLES.get(message.role or "")
    if role is None:
        raise InvalidParameter(BAD_MESSAGE, param="messages")
    converted = _with_content(role, message)
    if role == "tool":
        return structs.replace(converted, tool_call_id=message.tool_call_id, name=message.name)
    if role == "assistant" and (message.tool_calls or message.partial):
        calls = msgspec.json.encode(message.tool_calls) if message.tool_calls else None
        return structs.replace(converted, tool_calls=calls, is_partial=is_last and bool(message.partial))
    return converted


def _with_content(role: Role, message: WireMessage) -> Message:
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
