"""Small PDFs of our own making: pages of lines, an outline, printed labels, glyphs with any text behind them.

Knows nothing of the service that reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

_HEAD = b"%PDF-1.5\n"
_PICTURE = (
    "<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>"
)
_LEADING = 16


def build_pdf(
    pages: Sequence[Sequence[str]],
    *,
    outline: Sequence[tuple[str, int]] = (),
    first_label: int | None = None,
    glyphs: dict[str, str] | None = None,
    has_picture: bool = False,
) -> bytes:
    """Set each page's lines one below the other.

    Args:
        pages: lines of Latin-1 text by page.
        outline: titles with the index of the page that each leads to, all of one level.
        first_label: pages are labelled with Roman numerals from this number on.
        glyphs: what a character stands for in the extracted text, as UTF-16 hexadecimal digits.
        has_picture: whether each page also shows a picture.
    """
    n_pages = len(pages)
    first_page, first_mark = 6, 6 + 2 * n_pages
    kids = " ".join(f"{first_page + 2 * i} 0 R" for i in range(n_pages))
    labels = f"/PageLabels << /Nums [0 << /S /r /St {first_label} >>] >>" if first_label else ""
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R {labels} >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {n_pages} >>".encode(),
        f"<< /Type /Outlines /Count {len(outline)}{_ends(first_mark, len(outline))} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding"
        + (b" /ToUnicode 5 0 R >>" if glyphs else b" >>"),
        _stream(_character_map(glyphs or {})),
    ]
    picture = f" /XObject << /P1 {first_mark + len(outline)} 0 R >>" if has_picture else ""
    for i, lines in enumerate(pages):
        objects += [
            (
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
                f"/Resources << /Font << /F1 4 0 R >>{picture} >> /Contents {first_page + 2 * i + 1} 0 R >>"
            ).encode(),
            _stream(_content(lines, has_picture=has_picture)),
        ]
    for i, (title, page) in enumerate(outline):
        place = f"/Parent 3 0 R /Dest [{first_page + 2 * page} 0 R /Fit]{_siblings(first_mark, i, len(outline))}"
        objects.append(f"<< /Title ({title}) {place} >>".encode("latin-1"))
    return pdf_file([*objects, f"{_PICTURE}\nstream\n0\nendstream".encode()])


def _ends(first: int, n_marks: int) -> str:
    return f" /First {first} 0 R /Last {first + n_marks - 1} 0 R" if n_marks else ""


def _siblings(first: int, i: int, n_marks: int) -> str:
    before = f" /Prev {first + i - 1} 0 R" if i else ""
    return before + (f" /Next {first + i + 1} 0 R" if i + 1 < n_marks else "")


def _content(lines: Sequence[str], *, has_picture: bool) -> bytes:
    shown = [f"({line}) Tj 0 -{_LEADING} Td".encode("latin-1") for line in lines]
    picture = b"q 500 0 0 700 40 60 cm /P1 Do Q\n" if has_picture else b""
    return picture + b"BT /F1 12 Tf 60 780 Td\n" + b"\n".join(shown) + b"\nET"


def _character_map(glyphs: dict[str, str]) -> bytes:
    lines = "\n".join(f"<{ord(char):02x}> <{text}>" for char, text in glyphs.items())
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap 1 begincodespacerange <00> <FF> "
        f"endcodespacerange {len(glyphs)} beginbfchar\n{lines}\nendbfchar endcmap end end"
    ).encode()


def _stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def pdf_file(objects: Sequence[bytes]) -> bytes:
    """Number the objects, the first of which is the catalog, and put the table of offsets behind them."""
    out, offsets = bytearray(_HEAD), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(out + tail % (size, table, size, len(out)))
