"""What both surfaces share of embedding and ranking: texts, numbers, who asks, and the best documents.

Knows the documented refusals of these fields (PROTOCOL.md §8.3, §8.4), and not how a surface nests any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from longscroll.errors import InvalidParameter
from longscroll.protocols.exchange import Request
from longscroll.services.vectors import Caller, Ranked

NOT_TEXTS = "Value error, contents is neither str nor list of str.: input.contents"
NOT_DOCUMENTS = "Value error, documents is not a list of str.: input.documents"

_STRINGS = {"type": "array", "items": {"type": "string"}}

WireTexts = Annotated[Any, Meta(extra_json_schema={"anyOf": [{"type": "string"}, _STRINGS, {"type": "null"}]})]
"""One text or several; read by hand, because every wrong type has the same documented words."""

WireDocuments = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "type": ["array", "null"],
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
                ]
            },
        }
    ),
]
"""Documents as strings, or as the objects that replies have them in."""


class RankedText(Struct, frozen=True):
    """A document as it was sent."""

    text: str


class RankingResult(Struct, frozen=True):
    """One of the best documents; ``index`` among those that were sent."""

    index: int
    relevance_score: float
    document: RankedText | UnsetType = UNSET


def to_results(ranked: Ranked, documents: Sequence[str] | None) -> tuple[RankingResult, ...]:
    """Return the best documents as sent, best first, with their texts where ``documents`` are to be sent back."""
    return tuple(
        RankingResult(score.index, score.relevance, UNSET if documents is None else RankedText(documents[score.index]))
        for score in ranked.scores
    )


def to_caller(request: Request) -> Caller:
    """Return whose request it is."""
    return Caller(
        workspace=request.principal.workspace,
        key_id=request.principal.key_id,
        request_id=request.id,
        surface=request.surface,
        is_exempt=request.is_exempt,
    )


def to_texts(value: object, *, param: str) -> tuple[str, ...]:
    """Return the texts of a request.

    Raises:
        InvalidParameter: neither a string nor a list of strings; token ids are neither.
    """
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidParameter(NOT_TEXTS, param=param)
    return tuple(texts)


def to_documents(value: object) -> tuple[str, ...]:
    """Return the documents of a request.

    Raises:
        InvalidParameter: not a list of strings, or of objects with a ``text``.
    """
    texts: list[str] = []
    for document in value if isinstance(value, list) else [None]:
        text = document.get("text") if isinstance(document, dict) else document
        if not isinstance(text, str):
            raise InvalidParameter(NOT_DOCUMENTS, param="documents")
        texts.append(text)
    return tuple(texts)


def check_number(value: int | None, name: str, *, high: int) -> None:
    """Refuse a number that is not from 1 to ``high``.

    Raises:
        InvalidParameter: with the range.
    """
    if value is not None and not 1 <= value <= high:
        raise InvalidParameter(f"Range of {name} should be [1, {high}]", param=name)
