"""DOCX: each text once, in order, with headings, rows and notes; bombs end early."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import pytest

from factories.docx_files import STRICT, TRANSITIONAL, build_docx, build_zip, paragraph, table
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading
from longscroll.parsing.office import parse_docx

Opened = Callable[[bytes], BinaryIO]


def text_of(stream: BinaryIO) -> str:
    return "".join(page.text for page in parse_docx(stream, "a.docx"))


@pytest.mark.parametrize("namespace", [TRANSITIONAL, STRICT])
def test_paragraphs_and_rows_come_in_order(opened: Opened, namespace: str) -> None:
    body = paragraph("Before") + table(("a", "b"), ("c", "")) + paragraph("After")
    assert text_of(opened(build_docx(body, namespace=namespace))) == "Before\na | b\nc | \nAfter\n"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r></w:p>", "a\tb\nc-\n"),
        ("<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr><w:r><w:t>a</w:t></w:r></w:p>", "a\n"),
        ("<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:r><w:t>a</w:t></w:r></w:p>", "a\n"),
        ("<w:p><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom><w:r><w:t>a</w:t></w:r></w:p>", "a\n"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText><w:t>7</w:t></w:r></w:p>", "7\n"),
        (f"<w:sdt><w:sdtContent>{paragraph('in a control')}</w:sdtContent></w:sdt>", "in a control\n"),
    ],
)
def test_a_paragraph_reads_as_it_is_shown(opened: Opened, body: str, text: str) -> None:
    assert text_of(opened(build_docx(body))) == text


def test_of_alternate_content_one_branch_is_read(opened: Opened) -> None:
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    choice = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    body = f"<w:p><w:r>{choice}<w:t>anchor</w:t></w:r></w:p>"
    assert text_of(opened(build_docx(body))) == "boxed\nanchor\n"


def test_a_merged_cell_and_a_table_in_a_cell_are_read_once(opened: Opened) -> None:
    merged = f"<w:tc><w:tcPr><w:gridSpan w:val='3'/></w:tcPr>{paragraph('wide')}</w:tc>"
    inner = f"<w:tc>{paragraph('outer')}{table(('x', 'y'))}<w:p/></w:tc>"
    body = f"<w:tbl><w:tr>{merged}</w:tr><w:tr>{inner}</w:tr></w:tbl>"
    assert text_of(opened(build_docx(body))) == "wide\nouter x | y\n"


def test_headings_come_from_names_levels_and_the_styles_they_are_based_on(opened: Opened) -> None:
    styles = (
        '<w:style w:styleId="a1"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="mine"><w:basedOn w:val="a1"/></w:style>'
        '<w:style w:styleId="deep"><w:name w:val="x"/><w:pPr><w:outlineLvl w:val="4"/></w:pPr></w:style>'
    )
    direct = '<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>Top</w:t></w:r></w:p>'
    body = direct + paragraph("Sub", "a1") + paragraph("text") + paragraph("Own", "mine") + paragraph("Deep", "deep")
    (page,) = parse_docx(opened(build_docx(body, styles=styles)), "a.docx")
    assert page.headings == (Heading(0, 1, "Top"), Heading(4, 2, "Sub"), Heading(13, 2, "Own"), Heading(17, 5, "Deep"))


def test_notes_comments_and_margins_stand_apart_at_the_end(opened: Opened) -> None:
    body = '<w:p><w:r><w:t>Text</w:t><w:footnoteReference w:id="7"/><w:t>.</w:t></w:r></w:p>'
    separator = f'<w:footnote w:id="-1">{paragraph("—")}</w:footnote>'
    content = build_docx(
        body,
        footnotes=f'{separator}<w:footnote w:id="7">{paragraph("Note")}</w:footnote>',
        comments=f'<w:comment w:id="0" w:author="Ann">{paragraph("Sure?")}</w:comment>',
        header1=paragraph("Report"),
        header2=paragraph("Report"),
        footer1=paragraph("Secret"),
    )
    assert text_of(opened(content)) == "Text[^1].\n[^1] Note\nAnn: Sure?\nReport\nSecret\n"


def test_blank_paragraphs_in_a_row_become_one(opened: Opened) -> None:
    assert text_of(opened(build_docx(paragraph("a") + "<w:p/>" * 5 + paragraph("b")))) == "a\n\nb\n"


def test_a_long_document_comes_in_blocks_with_progress(opened: Opened) -> None:
    pages = list(parse_docx(opened(build_docx(paragraph("word " * 100) * 400)), "a.docx"))
    assert len(pages) == 4
    assert pages[-1].progress is not None
    assert pages[-1].progress[0] == pages[-1].progress[1]


def test_a_member_that_unpacks_to_too_much_is_refused_before_it_is_read(opened: Opened) -> None:
    bomb = build_zip({"word/document.xml": "<a>" + " " * (60 << 20)})
    with pytest.raises(DocumentError, match="unpacks to more") as caught:
        text_of(opened(bomb))
    assert caught.value.kind == DocumentErrorKind.TOO_LARGE


@pytest.mark.parametrize(
    "document",
    [
        "<a>",
        "<a>" * 100_000,
        '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a><',
    ],
)
def test_broken_deep_or_defined_xml_is_corrupt(opened: Opened, document: str) -> None:
    with pytest.raises(DocumentError) as caught:
        text_of(opened(build_zip({"word/document.xml": document})))
    assert caught.value.kind == DocumentErrorKind.CORRUPT


def test_an_external_entity_is_not_read(opened: Opened) -> None:
    document = (
        f'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]>'
        f'<w:document xmlns:w="{TRANSITIONAL}"><w:body><w:p><w:r><w:t>a&e;b</w:t></w:r></w:p></w:body></w:document>'
    )
    assert text_of(opened(build_zip({"word/document.xml": document}))) == "a\n"
