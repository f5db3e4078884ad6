"""PDF through PDFium, page by page: text, printed labels, headings, and where each character came from.

Speaks PDFium's raw interface; so does ``pdf_outline``, and nothing else. Knows no storage and no process. PDFium is not
thread-safe: one parse at a time in a process.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
import pypdfium2.raw as pdfium

from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import NO_TEXT, OriginRun, Page, PageQuality
from longscroll.parsing.pdf_outline import Bookmark, one_line, place, read_outline

MAX_PAGES = 15_000
_FIRST_ROOM = 1 << 15  # UTF-16 units; three to ten times a page
_HYPHEN = "\ufffe"
_MARK = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\uffff\ufffe]")
_WORD_BEFORE = re.compile(r"\S{1,64}\Z")
_NOT_A_PLAIN_WORD = re.compile(r"[/\\._@:=0-9]|[A-Z]\Z")
_UNKNOWN_GLYPHS = re.compile("[\ufffd\ue000-\uf8ff]")
_MAX_UNKNOWN_SHARE = 0.3
_FEW_CHARS = 64
_MIN_VISIBLE_CHARS = 8
_MIN_PICTURE_SHARE = 0.5  # of the page's area
_MAX_OBJECTS = 1000
_LOCKED = {
    pdfium.FPDF_ERR_PASSWORD: "This PDF needs a password to be read; upload a copy that is not protected.",
    pdfium.FPDF_ERR_SECURITY: "This PDF is protected, a password is needed; upload a copy that is not protected.",
}


_Read = tuple[str, tuple[OriginRun, ...], PageQuality]


def parse_pdf(stream: BinaryIO, filename: str, *, max_pages: int = MAX_PAGES) -> Iterator[Page]:  # noqa: ARG001 - Parser
    """Yield the pages of a PDF. See ``Parser``; memory stays that of one page whatever the file's size."""
    with PdfDocument(stream, max_pages=max_pages) as document:
        yield from document.pages(range(document.n_pages))


class PdfDocument:
    """An open PDF whose pages can be read in any ranges, one after the other; a context manager.

    Raises:
        DocumentError: it cannot be opened, or has too many pages.
    """

    def __init__(self, stream: BinaryIO, *, max_pages: int = MAX_PAGES) -> None:
        if stream.seek(0, 2) == 0:
            raise DocumentError(DocumentErrorKind.BLANK, NO_TEXT)
        # Never closed by hand: PDFium reads from the map as long as the array lives.
        self._content = np.frombuffer(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
        self._document = pdfium.FPDF_LoadMemDocument64(self._content.ctypes.data, self._content.size, None)
        if not self._document:
            raise _open_error(pdfium.FPDF_GetLastError())
        self._room = _Room()
        self._kept: dict[int, _Read] = {}
        self.n_pages: int = pdfium.FPDF_GetPageCount(self._document)
        if not 1 <= self.n_pages <= max_pages:
            self.close()
            raise _number_error(self.n_pages, max_pages)

    def read_ahead(self, index: int) -> None:
        """Read the text of a page now; ``pages`` will use it. It is there long before a large outline is."""
        self._kept[index] = _read_page(self._document, index, self._room)

    def pages(self, chosen: range) -> Iterator[Page]:
        """Yield the pages with these indexes; their progress is that through this range."""
        for index in chosen:
            kept = self._kept.pop(index, None)
            text, origin, quality = kept or _read_page(self._document, index, self._room)
            yield Page(
                number=index + 1,
                label=_label(self._document, index),
                text=text,
                headings=place(self._outline.get(index, ()), text),
                origin=origin,
                quality=quality,
                progress=(index + 1 - chosen.start, len(chosen)),
            )

    def close(self) -> None:
        """Let go of the document; its pages cannot be read any more."""
        pdfium.FPDF_CloseDocument(self._document)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @cached_property
    def _outline(self) -> dict[int, list[Bookmark]]:
        return read_outline(self._document, self.n_pages)


def _open_error(code: int) -> DocumentError:
    if code in _LOCKED:
        return DocumentError(DocumentErrorKind.ENCRYPTED, _LOCKED[code])
    return DocumentError(DocumentErrorKind.CORRUPT, "This PDF is damaged and cannot be opened.")


def _number_error(n_pages: int, max_pages: int) -> DocumentError:
    if n_pages < 1:
        return DocumentError(DocumentErrorKind.CORRUPT, "This PDF is damaged: it has no pages.")
    return DocumentError(
        DocumentErrorKind.TOO_MANY_PAGES, f"This PDF has {n_pages} pages; at most {max_pages} can be read."
    )


class _Room:
    """Room for PDFium to write a page's text into, kept from page to page: new room costs as much as the clean-up."""

    def __init__(self) -> None:
        self._units = (ctypes.c_ushort * _FIRST_ROOM)()

    def for_units(self, n_units: int) -> ctypes.Array[ctypes.c_ushort]:
        """Return an array of at least so many UTF-16 units."""
        if n_units > len(self._units):
            self._units = (ctypes.c_ushort * (2 * n_units))()
        return self._units


def _read_page(document: pdfium.FPDF_DOCUMENT, index: int, room: _Room) -> _Read:
    page = pdfium.FPDF_LoadPage(document, index)
    if not page:
        return "", (), "unreadable"
    text_page = pdfium.FPDFText_LoadPage(page)
    text, origin = _read_text(text_page, room) if text_page else ("", ())
    quality = _quality(page, text)
    if text_page:
        pdfium.FPDFText_ClosePage(text_page)
    pdfium.FPDF_ClosePage(page)
    return text, origin, quality


def _read_text(text_page: pdfium.FPDF_TEXTPAGE, room: _Room) -> tuple[str, tuple[OriginRun, ...]]:
    n_chars = pdfium.FPDFText_CountChars(text_page)
    if n_chars <= 0:
        return "", ()
    units = room.for_units(2 * n_chars + 1)  # twice: a character may be a pair of surrogates
    n_units = max(0, pdfium.FPDFText_GetText(text_page, 0, n_chars, units) - 1)
    raw = str(memoryview(units).cast("B")[: 2 * n_units], "utf-16-le", "replace")
    text, runs = clean(raw)
    if n_chars != len(raw):
        runs = _through_skipped_chars(text_page, runs, raw=raw, is_wide=n_units != len(raw))
    return text, tuple(runs)


def clean(raw: str) -> tuple[str, list[OriginRun]]:
    r"""Turn PDFium's text of a page into ours, with the way back.

    Line ends become ``\n``; control characters and marks that are no text go. A word that was hyphenated at the end of
    a line is joined; its hyphen stays where it is part of the word, as far as the neighbors tell (``MS-DOS``).
    """
    lines = raw.split("\r\n")
    runs: list[OriginRun] = []
    n_written = n_read = 0
    has_marks = _MARK.search("\n".join(lines)) is not None
    for number, line in enumerate(lines):
        n_line = len(line) + 1  # the line end stands for its carriage return
        if has_marks and _MARK.search(line):
            lines[number], marked_runs = _clean_line(line + "\r")
            runs += [OriginRun(n_written + run.offset, n_read + run.source, run.length) for run in marked_runs]
            n_written += len(lines[number]) + 1
        else:
            runs.append(OriginRun(n_written, n_read, n_line))
            n_written += n_line
        n_read += n_line + 1
    last = runs.pop()  # nothing stands for a line end after the last line
    if last.length > 1:
        runs.append(OriginRun(last.offset, last.source, last.length - 1))
    return "\n".join(lines), runs


def _clean_line(line: str) -> tuple[str, list[OriginRun]]:
    """Clean one line that ends in a carriage return; the runs cover that too, the text leaves it out."""
    parts: list[str] = []
    runs: list[OriginRun] = []
    n_written = start = 0
    for match in _MARK.finditer(line, 0, len(line) - 1):
        found = match.start()
        kept = line[start:found] + _replacement(line, found)
        if kept:
            parts.append(kept)
            runs.append(OriginRun(n_written, start, len(kept)))
            n_written += len(kept)
        start = found + 1
    parts.append(line[start:-1])
    runs.append(OriginRun(n_written, start, len(line) - start))
    return "".join(parts), runs


def _replacement(line: str, found: int) -> str:
    """Return what stands for the mark at ``found``: one character or none."""
    if line[found] != _HYPHEN:
        return ""
    before = _WORD_BEFORE.search(line, max(0, found - 64), found)
    is_plain_word = before is not None and not _NOT_A_PLAIN_WORD.search(before.group())
    return "" if is_plain_word and line[found + 1].islower() else "-"


def _through_skipped_chars(
    text_page: pdfium.FPDF_TEXTPAGE, runs: Sequence[OriginRun], *, raw: str, is_wide: bool
) -> list[OriginRun]:
    """Turn positions in PDFium's text into its character indexes, which also count characters without any text."""

    def char_index(position: int) -> int:
        if is_wide:  # there PDFium counts a pair of surrogates as two
            position += sum(char > "\uffff" for char in raw[:position])
        return int(pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, position))

    mapped: list[OriginRun] = []
    pending = [(run.offset, run.source, run.length) for run in reversed(runs)]
    while pending:
        offset, start, length = pending.pop()
        first, last = char_index(start), char_index(start + length - 1)
        if first >= 0 and last - first == length - 1:
            _extend(mapped, OriginRun(offset, first, length))
        elif length > 1:
            half = length // 2
            pending.append((offset + half, start + half, length - half))
            pending.append((offset, start, half))
    return mapped


def _extend(runs: list[OriginRun], run: OriginRun) -> None:
    last = runs[-1] if runs else None
    if last is not None and (last.offset + last.length, last.source + last.length) == (run.offset, run.source):
        runs[-1] = OriginRun(last.offset, last.source, last.length + run.length)
    else:
        runs.append(run)


def _quality(page: pdfium.FPDF_PAGE, text: str) -> PageQuality:
    """Tell whether the text is all of the page: a picture with no more than its number on it is not read."""
    if len(text) < _FEW_CHARS and len("".join(text.split())) < _MIN_VISIBLE_CHARS and _is_picture(page):
        return "unreadable"
    n_unknown = len(_UNKNOWN_GLYPHS.findall(text)) if _UNKNOWN_GLYPHS.search(text) else 0
    return "unreadable" if n_unknown > _MAX_UNKNOWN_SHARE * len(text) else "text"


def _is_picture(page: pdfium.FPDF_PAGE) -> bool:
    page_area = pdfium.FPDF_GetPageWidthF(page) * pdfium.FPDF_GetPageHeightF(page)
    for index in range(min(pdfium.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        shown = pdfium.FPDFPage_GetObject(page, index)
        if _area(shown) >= _MIN_PICTURE_SHARE * page_area and _has_image(shown):
            return True
    return False


def _has_image(shown: pdfium.FPDF_PAGEOBJECT) -> bool:
    kind = pdfium.FPDFPageObj_GetType(shown)
    if kind != pdfium.FPDF_PAGEOBJ_FORM:
        return bool(kind == pdfium.FPDF_PAGEOBJ_IMAGE)
    n_inner = min(pdfium.FPDFFormObj_CountObjects(shown), _MAX_OBJECTS)
    inner = (pdfium.FPDFFormObj_GetObject(shown, index) for index in range(n_inner))
    return any(pdfium.FPDFPageObj_GetType(one) == pdfium.FPDF_PAGEOBJ_IMAGE for one in inner)


def _area(shown: pdfium.FPDF_PAGEOBJECT) -> float:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    if not pdfium.FPDFPageObj_GetBounds(shown, left, bottom, right, top):
        return 0.0
    return (right.value - left.value) * (top.value - bottom.value)


def _label(document: pdfium.FPDF_DOCUMENT, index: int) -> str | None:
    buffer = ctypes.create_string_buffer(128)
    n_bytes = pdfium.FPDF_GetPageLabel(document, index, buffer, len(buffer))
    return one_line(buffer.raw[: n_bytes - 2]) or None if 2 < n_bytes <= len(buffer) else None
