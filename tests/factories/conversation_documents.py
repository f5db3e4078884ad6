"""Documents of a conversation, open as a reader process has them."""

from __future__ import annotations

from factories.artifacts import artifact, page
from longscroll.parsing.base import Heading
from longscroll.reading.evidence import OpenDocument
from longscroll.reading.messages import Source


def open_document(
    *pages: str, document: int = 0, filename: str = "report.txt", headings: tuple[Heading, ...] = ()
) -> OpenDocument:
    """Build a document of numbered pages, or of one without a number; headings belong to the first."""
    numbers = range(1, len(pages) + 1) if len(pages) > 1 else [None]
    made = [
        page(text, number, headings=headings if i == 0 else ())
        for i, (number, text) in enumerate(zip(numbers, pages, strict=True))
    ]
    source = Source(document=document, workspace="ws", file_id=f"file-fe-{document}", filename=filename)
    return OpenDocument(source, artifact(*made))
