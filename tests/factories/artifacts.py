"""Stored documents, held in memory, from text or pages."""

from __future__ import annotations

from io import BytesIO

from longscroll.documents.artifact import Artifact
from longscroll.documents.build import build_artifact
from longscroll.documents.container import Container, ContainerWriter
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


def sections_of(stored: bytes) -> dict[str, bytes]:
    """Return what is in the file of a document, by name."""
    container = Container(memoryview(stored))
    return {name: bytes(container.section(name)) for name in container._sections}


def with_section(stored: bytes, name: str, content: bytes) -> bytes:
    """Write the file of a document anew with other content of a section, all checksums right: a well-made lie."""
    out = BytesIO()
    writer = ContainerWriter(out)
    for section, data in (sections_of(stored) | {name: content}).items():
        writer.add(section, data)
    writer.finish()
    return out.getvalue()
