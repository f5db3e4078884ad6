"""The way from any file to its pages: tell the format, run its parser. The one place that lists the parsers.

Knows no storage and no process; pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from longscroll.parsing.base import Page, Parser
from longscroll.parsing.office import parse_docx
from longscroll.parsing.pdf import MAX_PAGES, PdfDocument
from longscroll.parsing.sniff import Format, sniff
from longscroll.parsing.text import parse_markdown, parse_text

_PARSERS: dict[Format, Parser] = {
    Format.TEXT: parse_text,
    Format.MARKDOWN: parse_markdown,
    Format.DOCX: parse_docx,
}


def parse(stream: BinaryIO, filename: str, *, max_pages: int = MAX_PAGES) -> Iterator[Page]:
    """Yield the pages of a file of any supported format; content decides, the name only helps.

    Raises:
        DocumentError: the bytes are no readable document; possibly only after some pages.
    """
    opened = open_document(stream, filename, max_pages=max_pages)
    if not isinstance(opened, PdfDocument):
        yield from opened
        return
    with opened:
        yield from opened.pages(range(opened.n_pages))


def open_document(stream: BinaryIO, filename: str, *, max_pages: int = MAX_PAGES) -> PdfDocument | Iterator[Page]:
    """Return what a file's pages can be read from: any ranges of them, or one after the other; see ``parse``."""
    detected = sniff(stream, filename)
    stream.seek(0)
    if detected is Format.PDF:
        return PdfDocument(stream, max_pages=max_pages)
    return _PARSERS[detected](stream, filename)
