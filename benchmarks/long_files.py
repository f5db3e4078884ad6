"""Long files of our own making for benchmarks: a PDF of so many pages and a text, of so many bytes. Always the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

N_LINES = 45  # on a page
_N_FIXED = 4  # objects before the pages
_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def write_text(path: Path, n_bytes: int) -> None:
    """Write lines of made-up words."""
    path.write_bytes(make_text(n_bytes))


def make_text(n_bytes: int) -> bytes:
    """Return lines of made-up words."""
    sentences = _sentences(random.Random(1))
    lines, size = [], 0
    while size < n_bytes:
        lines.append(f"{next(sentences)}.\n")
        size += len(lines[-1])
    return "".join(lines).encode()


def write_pdf(path: Path, n_pages: int, n_bytes: int) -> None:
    """Write pages of text, each with a picture that fills it up, and one entry of the outline for every ten pages."""
    n_marks = n_pages // 10
    first_page, first_mark = _N_FIXED + 1, _N_FIXED + 1 + 3 * n_pages
    kids = " ".join(f"{first_page + 3 * i} 0 R" for i in range(n_pages))
    with path.open("wb") as file:
        file.write(b"%PDF-1.5\n")
        writer = _Objects(file)
        writer.add(b"<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R >>")
        writer.add(f"<< /Type /Pages /Kids [{kids}] /Count {n_pages} >>".encode())
        ends = f"/First {first_mark} 0 R /Last {first_mark + n_marks - 1} 0 R" if n_marks else ""
        writer.add(f"<< /Type /Outlines /Count {n_marks} {ends} >>".encode())
        writer.add(_FONT)
        _write_pages(writer, n_pages, n_bytes // n_pages)
        for i in range(n_marks):
            before = f"/Prev {first_mark + i - 1} 0 R" if i else ""
            after = f"/Next {first_mark + i + 1} 0 R" if i + 1 < n_marks else ""
            target = f"/Parent 3 0 R /Dest [{first_page + 30 * i} 0 R /Fit]"
            writer.add(f"<< /Title (Chapter {i + 1}) {target} {before} {after} >>".encode())
        writer.finish()


def _write_pages(writer: _Objects, n_pages: int, n_bytes: int) -> None:
    numbers = random.Random(2)
    sentences = _sentences(numbers)
    for i in range(n_pages):
        page = writer.n_objects + 1
        resources = f"<< /Font << /F1 4 0 R >> /XObject << /P1 {page + 2} 0 R >> >>"
        box = "/MediaBox [0 0 595 842]"
        writer.add(f"<< /Type /Page /Parent 2 0 R {box} /Resources {resources} /Contents {page + 1} 0 R >>".encode())
        lines = [f"Page {i + 1}", *(next(sentences) for _ in range(N_LINES))]
        shown = "\n".join(f"({line}) Tj 0 -15 Td" for line in lines)
        writer.add_stream("", f"BT /F1 8 Tf 40 800 Td\n{shown}\nET".encode())
        width = max(1, n_bytes - len(shown) - 500)
        kind = f"/Type /XObject /Subtype /Image /Width {width} /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8"
        writer.add_stream(kind, numbers.randbytes(width))


def _sentences(numbers: random.Random) -> Iterator[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(numbers.choices(letters, k=numbers.randint(2, 10))) for _ in range(50_000)]
    while True:
        yield " ".join(numbers.choices(words, k=10))


class _Objects:
    """The objects of a PDF, numbered from 1, and the table of where they lie."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: list[int] = []

    @property
    def n_objects(self) -> int:
        return len(self._offsets)

    def add(self, content: bytes) -> None:
        self._offsets.append(self._file.tell())
        self._file.write(b"%d 0 obj\n%s\nendobj\n" % (len(self._offsets), content))

    def add_stream(self, kind: str, content: bytes) -> None:
        self.add(b"<< %s /Length %d >>\nstream\n%s\nendstream" % (kind.encode(), len(content), content))

    def finish(self) -> None:
        start, size = self._file.tell(), self.n_objects + 1
        self._file.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        self._file.writelines(b"%010d 00000 n \n" % offset for offset in self._offsets)
        self._file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start))
