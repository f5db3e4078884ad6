"""Real files from many programs, where they lie beside the project."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pypdfium2 as pdfium_package
import pypdfium2.raw as pdfium
import pytest

from longscroll.parsing.base import Page
from longscroll.parsing.formats import parse

SAMPLES = Path(__file__).parents[4] / "shared" / "samples"
PDFS = sorted(SAMPLES.glob("pdf/*.pdf"))
N_PAGES_CHECKED = 40

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples lie beside the project, not in it")


def pages_of(name: str) -> list[Page]:
    with (SAMPLES / name).open("rb") as file:
        return list(parse(file, name))


def text_of(name: str) -> str:
    return "".join(page.text for page in pages_of(name))


def fourgrams(text: str) -> set[str]:
    letters = "".join(re.findall(r"\w", unicodedata.normalize("NFKC", text))).replace("_", "")
    return {letters[i : i + 4] for i in range(len(letters) - 3)}


@pytest.mark.parametrize("path", PDFS, ids=lambda path: path.stem)
def test_every_character_of_a_pdf_leads_back_to_its_source(path: Path) -> None:
    document = pdfium.FPDF_LoadDocument(str(path).encode(), None)
    with path.open("rb") as file:
        for _, page in zip(range(N_PAGES_CHECKED), parse(file, path.name), strict=False):
            assert sum(run.length for run in page.origin) == len(page.text)
            loaded = pdfium.FPDF_LoadPage(document, (page.number or 0) - 1)
            text_page = pdfium.FPDFText_LoadPage(loaded)
            for run in page.origin:
                there = [chr(pdfium.FPDFText_GetUnicode(text_page, run.source + i)) for i in range(run.length)]
                here = page.text[run.offset : run.offset + run.length]
                assert "".join(there).translate({13: "\n", 2: "-", 0xFFFE: "-"}) == here
            pdfium.FPDFText_ClosePage(text_page)
            pdfium.FPDF_ClosePage(loaded)
    pdfium.FPDF_CloseDocument(document)


def test_no_text_is_lost_against_bare_pdfium() -> None:
    path = SAMPLES / "pdf" / "zh_debian-reference.pdf"
    known = fourgrams((SAMPLES / "text" / "zh_debian-reference.txt").read_text(encoding="utf-8"))
    document = pdfium_package.PdfDocument(path)
    bare = fourgrams("\n".join(page.get_textpage().get_text_range() for page in document))
    document.close()
    ours = fourgrams("\n".join(page.text for page in pages_of("pdf/zh_debian-reference.pdf")))
    assert len(known & ours) >= len(known & bare) - 0.002 * len(known)


def test_an_outline_becomes_headings_at_the_lines_they_name() -> None:
    pages = pages_of("pdf/zh_debian-reference.pdf")
    headings = [(page, heading) for page in pages for heading in page.headings]
    begin_lines = [heading.offset == 0 or page.text[heading.offset - 1] == "\n" for page, heading in headings]
    assert (len(headings), all(begin_lines)) == (452, True)


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("encoding/gb18030.txt", "text/zh_debian-reference.txt"),
        ("encoding/utf16le_bom.txt", "text/zh_debian-reference.txt"),
    ],
)
@pytest.mark.item(104)
def test_an_old_encoding_reads_as_its_twin(name: str, twin: str) -> None:
    text = text_of(name)
    assert len(text) >= 20_000
    assert text_of(twin).startswith(text)


def test_merged_cells_are_read_once() -> None:
    assert len(re.findall("[\u4e00-\u9fff]", text_of("docx/zh_report.docx"))) < 1400  # 1,276 in its XML, margins aside


def test_the_two_branches_of_a_text_box_are_read_once() -> None:
    text = text_of("docx/en_textbox.docx")
    assert text.count("Student falls ill") == 1


def test_comments_are_read_with_their_authors() -> None:
    assert "John Reviewer: This is a sample reviewer comment" in text_of("docx/en_comments.docx")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("docx/*.docx")), ids=lambda path: path.stem)
def test_every_docx_has_text_and_ends_its_progress(path: Path) -> None:
    pages = pages_of(f"docx/{path.name}")
    ends = [page.progress for page in pages if page.progress]
    assert any(page.text.strip() for page in pages)
    assert ends[-1][0] == ends[-1][1]
