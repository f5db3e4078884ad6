"""Stored documents, held in memory, from text or pages."""

from __future__ import annotations

from io import BytesIO

from longscroll.documents.artifact import Artifact
from longscroll.documents.build import build_artifact
from longscroll.parsing.base import Page
from longscroll.tokens import EstimatedCounter, TokenCounter


def page(text: str, number: int | None = None, **facts: object) -> Page:
    """Make one page of a document; without a number, text of a format that has none."""
    return Page(number=number, text=text, **facts)  # type: ignore[arg-type]


def artifact_bytes(*pages: Page | str, counter: TokenCounter | None = None) -> bytes:
    """Build the file of a document."""
    out = BytesIO()
    parts = [page(part) if isinstance(part, str) else part for part in pages]
    build_artifact(parts, out, counter or EstimatedCounter())
    return out.getvalue()


def artifact(*pages: Page | str, counter: TokenCounter | None = None) -> Artifact:
    """Build a document and open it."""
    return Artifact.from_buffer(artifact_bytes(*pages, counter=counter))
