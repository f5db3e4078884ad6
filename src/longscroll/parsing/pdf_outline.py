"""The outline of a PDF as headings: read from PDFium's bookmarks, placed where their titles stand in the text.

Knows nothing of how the text of a page was made.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from typing import NamedTuple

import pypdfium2.raw as pdfium

from longscroll.parsing.base import Heading

_MAX_BOOKMARKS = 20_000
_MAX_LEVEL = 16
_MAX_TITLE_BYTES = 4096
_MAX_NUMBER_CHARS = 16  # "Chapter 12: " before a title in the text that the outline does not repeat
_MIN_BROKEN_CHARS = 8  # the least that the first line of a title in two lines must have of it
_CONTROL = re.compile("[\x00-\x1f\x7f\ufeff\uffff\ufffe]")


class Bookmark(NamedTuple):
    """One entry: its level from 1, its title in one line."""

    level: int
    title: str


def read_outline(document: pdfium.FPDF_DOCUMENT, n_pages: int) -> dict[int, list[Bookmark]]:
    """Return the bookmarks by the index of the page they lead to, in outline order; a circle is walked once."""
    found: dict[int, list[Bookmark]] = {}
    seen: set[int] = set()
    first = pdfium.FPDFBookmark_GetFirstChild(document, None)
    if first:  # PDFium finds the page of a bookmark five times sooner once it has met all pages, as this makes it do
        pdfium.FPDF_GetPageSizeByIndexF(document, n_pages - 1, pdfium.FS_SIZEF())
    pending = [(1, first)]
    while pending and len(seen) < _MAX_BOOKMARKS:
        level, bookmark = pending.pop()
        address = ctypes.cast(bookmark, ctypes.c_void_p).value
        if address is None or address in seen or level > _MAX_LEVEL:
            continue
        seen.add(address)
        destination = pdfium.FPDFBookmark_GetDest(document, bookmark)
        page_index = pdfium.FPDFDest_GetDestPageIndex(document, destination) if destination else -1
        title = _title(bookmark)
        if title and page_index >= 0:
            found.setdefault(page_index, []).append(Bookmark(level, title))
        pending.append((level, pdfium.FPDFBookmark_GetNextSibling(document, bookmark)))
        pending.append((level + 1, pdfium.FPDFBookmark_GetFirstChild(document, bookmark)))
    return found


def _title(bookmark: pdfium.FPDF_BOOKMARK) -> str:
    n_bytes = pdfium.FPDFBookmark_GetTitle(bookmark, None, 0)
    if not 2 < n_bytes <= _MAX_TITLE_BYTES:
        return ""
    buffer = ctypes.create_string_buffer(n_bytes)
    pdfium.FPDFBookmark_GetTitle(bookmark, buffer, n_bytes)
    return one_line(buffer.raw[: n_bytes - 2])


def one_line(utf16: bytes) -> str:
    """Return a string of PDFium's, without control characters."""
    return " ".join(_CONTROL.sub(" ", utf16.decode("utf-16-le", "replace")).split())


def place(bookmarks: Sequence[Bookmark], text: str) -> tuple[Heading, ...]:
    """Put each bookmark where its title stands on the page, or at the last one's place where it is not found."""
    if not bookmarks:
        return ()
    headings = []
    offset = 0
    for level, title in bookmarks:
        found = _find_title(text, title, offset)
        offset = found if found >= 0 else offset
        headings.append(Heading(offset, level, title))
    return tuple(headings)


def _find_title(text: str, title: str, start: int) -> int:
    """Return where ``title`` stands from ``start`` on, a line of its own preferred, or -1.

    A line of its own may begin with a number that the outline does not repeat, and may be spaced or broken differently.
    """
    found = text.find(title, start)
    while found >= 0:
        line_start = text.rfind("\n", 0, found) + 1
        stop = found + len(title)
        if _is_number(text[line_start:found]) and not text[stop : stop + 2].split("\n")[0].strip():
            return line_start
        found = text.find(title, stop)
    spaced = _find_spaced_title(text, "".join(title.split()), start)
    return spaced if spaced >= 0 else text.find(title, start)


def _is_number(prefix: str) -> bool:
    """Tell whether what stands before a title in its line only counts it: ``2.1``, ``Chapter 12:``, 第三章, nothing."""
    return len(prefix) <= _MAX_NUMBER_CHARS and (not prefix.strip() or any(char.isnumeric() for char in prefix))


def _find_spaced_title(text: str, squeezed: str, start: int) -> int:
    line_start = start
    while 0 <= line_start < len(text):
        line_stop = text.find("\n", line_start)
        line = "".join(text[line_start : line_stop if line_stop >= 0 else len(text)].split())
        if line and (line.startswith(squeezed) or (len(line) >= _MIN_BROKEN_CHARS and squeezed.startswith(line))):
            return line_start
        line_start = line_stop + 1 if line_stop >= 0 else -1
    return -1
