from __future__ import annotations

import pytest

from longscroll.documents.inline import InlineDocuments
from longscroll.errors import DocumentError
from longscroll.tokens import EstimatedCounter


def inline(max_bytes: int = 1 << 20) -> InlineDocuments:
    return InlineDocuments(max_bytes, EstimatedCounter())


def test_inline_text_becomes_a_document() -> None:
    assert inline().get("default", "The captain's log.").text((4, 11)) == "captain"


def test_the_same_text_is_built_once_in_a_workspace() -> None:
    documents = inline()

    assert documents.get("default", "log") is documents.get("default", "log")


def test_workspaces_share_nothing() -> None:
    documents = inline()

    assert documents.get("one", "log") is not documents.get("two", "log")


def test_the_least_recently_used_document_goes_first() -> None:
    documents = inline(max_bytes=5000)
    first, second = documents.get("w", "first"), documents.get("w", "second")
    documents.get("w", "first")
    documents.get("w", "third " * 50)

    assert documents.get("w", "first") is first
    assert documents.get("w", "second") is not second


def test_a_document_over_the_limit_is_built_but_not_kept() -> None:
    documents = inline(max_bytes=10)

    assert documents.get("w", "log") is not documents.get("w", "log")


def test_windows_line_ends_and_stray_surrogates_are_cleaned() -> None:
    assert inline().get("w", "a\r\nb\rc\ud800\0d").text((0, 99)) == "a\nb\nc\ufffdd"


def test_blank_text_is_no_document() -> None:
    with pytest.raises(DocumentError, match="no text found"):
        inline().get("w", " \n")
