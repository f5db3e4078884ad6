"""What a parser yields: pages of text, in order, with what is known of their place. Pure: bytes in, pages out.

Knows no storage, no process, no service. Raises DocumentError and nothing else for whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Literal, Protocol

from msgspec import Struct

NO_TEXT = "no text found"
"""The whole sentence for a document that has not one visible character."""

PageQuality = Literal["text", "ocr", "unreadable"]


class Heading(Struct, frozen=True):
    """A heading that starts at ``offset`` code points into its page's text; level from 1."""

    offset: int
    level: int
    title: str


class OriginRun(Struct, frozen=True):
    """``length`` code points from ``offset`` of the page's text stand for as many source characters from ``source``.

    ``source`` is PDFium's character index on the page. What no run covers was put in by clean-up.
    """

    offset: int
    source: int
    length: int


class Page(Struct, frozen=True, kw_only=True):
    r"""One page, or the whole text of a format without pages (``number`` None).

    ``text`` has ``\n`` line ends and no NUL, BOM or lone surrogate.
    """

    number: int | None  # physical, from 1
    label: str | None = None  # as printed, where the file says it
    text: str
    headings: tuple[Heading, ...] = ()
    origin: tuple[OriginRun, ...] = ()
    quality: PageQuality = "text"
    progress: tuple[int, int] | None = None  # (done, total) in pages, or in bytes where there are none


class Parser(Protocol):
    """One format: ``parse(stream, filename)`` yields Pages."""

    def __call__(self, stream: BinaryIO, filename: str) -> Iterator[Page]:
        """Yield the pages of a document.

        ``stream`` is a real, seekable, read-only file; nothing else may be opened.

        Raises:
            DocumentError: the bytes are not a readable document of this format.
        """
