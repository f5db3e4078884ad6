"""The same words as PDF, DOCX and plain text.

`tests/documents/` holds two sources, an English handbook and a Chinese yearly report, five pages each, every page with
facts that stand nowhere else. This module owns the bytes made from them: the same on every machine, written there by
`PYTHONPATH=tests python -m factories.documents`. It knows nothing of the service that reads them.
"""

from __future__ import annotations

import io
import textwrap
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from factories.pdf_files import pdf_file

_NEVER_FIRST = "，。、；：？！）》」』】…”’,.;:?!)"
FOLDER = Path(__file__).parents[1] / "documents"


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: a heading and its paragraphs."""

    heading: str
    paragraphs: list[str] = field(default_factory=list)


def read_markdown(path: Path) -> tuple[str, list[Page]]:
    """Return the title and the pages of a source: `#` is the title, each `##` begins a page."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    pages: list[Page] = []
    for block in blocks[1:]:
        if block.startswith("## "):
            pages.append(Page(heading=block.removeprefix("## ")))
        else:
            pages[-1].paragraphs.append(block.replace("\n", " "))
    return blocks[0].removeprefix("# "), pages


def build_pdf(title: str, pages: Sequence[Page], *, is_chinese: bool) -> bytes:
    """Set each page on a sheet of its own; the fonts are named, not embedded, so the file stays small."""
    n_pages = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(n_pages))
    fonts = _chinese_font(4 + 2 * n_pages) if is_chinese else [_ENGLISH_FONT]
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {n_pages} >>",
        fonts[0],
    ]
    for i, page in enumerate(pages):
        stream = _page_stream(title if i == 0 else "", page, is_chinese=is_chinese)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * i} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return pdf_file([content.encode("latin-1") for content in (*objects, *fonts[1:])])


def build_docx(title: str, pages: Sequence[Page]) -> bytes:
    """Write the smallest package that word processors open: headings by style, one paragraph each."""
    body = _docx_paragraph(title, "Title")
    for page in pages:
        body += _docx_paragraph(page.heading, "Heading1")
        body += "".join(_docx_paragraph(text) for text in page.paragraphs)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        for name, content in (_DOCX_PARTS | {"word/document.xml": _DOCX_DOCUMENT.format(body=body)}).items():
            package.writestr(zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def build_text(title: str, pages: Sequence[Page]) -> bytes:
    """Write plain lines: a heading, then its paragraphs."""
    lines = [title]
    for page in pages:
        lines += ["", page.heading, *page.paragraphs]
    return ("\n".join(lines) + "\n").encode()


def build_all() -> dict[str, bytes]:
    """Return every generated document by its file name."""
    documents = {}
    for name, is_chinese in (("handbook", False), ("年度报告", True)):
        title, pages = read_markdown(FOLDER / f"{name}.md")
        documents[f"{name}.pdf"] = build_pdf(title, pages, is_chinese=is_chinese)
        documents[f"{name}.docx"] = build_docx(title, pages)
        documents[f"{name}.txt"] = build_text(title, pages)
    return documents


_ENGLISH_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def _chinese_font(number: int) -> list[str]:
    """Name one of the Adobe-GB1 fonts that every reader maps to what it has; three objects, the last two appended."""
    composite = f"/Subtype /Type0 /Encoding /UniGB-UCS2-H /DescendantFonts [{number} 0 R]"
    system = "/CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >>"
    metrics = "/FontBBox [-25 -254 1000 880] /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93"
    return [
        f"<< /Type /Font /BaseFont /STSong-Light {composite} >>",
        f"<< /Type /Font /BaseFont /STSong-Light /Subtype /CIDFontType0 {system} /FontDescriptor {number + 1} 0 R >>",
        f"<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 {metrics} >>",
    ]


def _page_stream(title: str, page: Page, *, is_chinese: bool) -> str:
    """Return the drawing commands of one page, top to bottom, one text line each."""
    width = 36 if is_chinese else 84
    lines = [(18, title), (12, "")] if title else []
    lines += [(14, page.heading), (12, "")]
    for paragraph in page.paragraphs:
        lines += [(12, line) for line in _wrap(paragraph, width)] + [(12, "")]
    commands = ["BT 60 780 Td"]
    for size, line in lines:
        commands.append(f"/F1 {size} Tf {_pdf_string(line, is_chinese=is_chinese)} Tj 0 -{size + 6} Td")
    return "\n".join([*commands, "ET"])


def _wrap(paragraph: str, width: int) -> list[str]:
    """Break a paragraph into lines; punctuation never begins one, it hangs at the end of the line before."""
    lines: list[str] = []
    for line in textwrap.wrap(paragraph, width):
        rest = line.lstrip(_NEVER_FIRST) if lines else line
        if lines:
            lines[-1] += line[: len(line) - len(rest)]
        if rest:
            lines.append(rest)
    return lines


def _pdf_string(text: str, *, is_chinese: bool) -> str:
    if is_chinese:
        return f"<{text.encode('utf-16-be').hex()}>"
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"({escaped})"


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_DOCX_DOCUMENT = f'{_XML}<w:document xmlns:w="{_WORD}"><w:body>{{body}}</w:body></w:document>'
_DOCX_PARTS = {
    "[Content_Types].xml": f'''{_XML}<Types xmlns="{_PACKAGE}/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType="{_TYPES}.document.main+xml"/>
<Override PartName="/word/styles.xml" ContentType="{_TYPES}.styles+xml"/></Types>''',
    "_rels/.rels": f'''{_XML}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>''',
    "word/_rels/document.xml.rels": f'''{_XML}<Relationships xmlns="{_PACKAGE}/relationships">
<Relationship Id="rId1" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>''',
    "word/styles.xml": f'''{_XML}<w:styles xmlns:w="{_WORD}">
<w:style w:type="paragraph" w:default="1" w:styleId="Normal"><w:name w:val="Normal"/></w:style>
<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>
<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/>
<w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style></w:styles>''',
}


def _docx_paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


if __name__ == "__main__":
    for name, content in build_all().items():
        (FOLDER / name).write_bytes(content)
