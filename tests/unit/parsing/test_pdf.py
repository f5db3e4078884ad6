"""PDF: text, labels, outline and origin, from files that the factory sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import pytest

from factories.pdf_files import build_pdf
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading, OriginRun
from longscroll.parsing.pdf import PdfDocument, clean, parse_pdf

Opened = Callable[[bytes], BinaryIO]


def test_each_page_has_its_number_its_text_and_how_far_the_parse_is(opened: Opened) -> None:
    pages = list(parse_pdf(opened(build_pdf([["One", "two"], ["Three"]])), "a.pdf"))
    assert [(page.number, page.text, page.progress) for page in pages] == [
        (1, "One\ntwo", (1, 2)),
        (2, "Three", (2, 2)),
    ]


def test_printed_labels_come_with_the_pages(opened: Opened) -> None:
    pages = parse_pdf(opened(build_pdf([["a"], ["b"], ["c"]], first_label=4)), "a.pdf")
    assert [page.label for page in pages] == ["iv", "v", "vi"]


def test_a_file_without_labels_gives_none(opened: Opened) -> None:
    assert [page.label for page in parse_pdf(opened(build_pdf([["a"]])), "a.pdf")] == [None]


def test_the_outline_is_placed_where_its_titles_stand(opened: Opened) -> None:
    content = build_pdf([["Cover"], ["About Rope", "2.1 Rope", "is long"]], outline=[("Cover", 0), ("Rope", 1)])
    pages = list(parse_pdf(opened(content), "a.pdf"))
    assert pages[0].headings == (Heading(0, 1, "Cover"),)
    assert pages[1].headings == (Heading(len("About Rope\n"), 1, "Rope"),)


def test_a_title_that_is_not_on_its_page_stands_at_the_place_of_the_one_before(opened: Opened) -> None:
    content = build_pdf([["Intro", "First"]], outline=[("First", 0), ("Gone", 0)])
    (page,) = parse_pdf(opened(content), "a.pdf")
    assert page.headings == (Heading(6, 1, "First"), Heading(6, 1, "Gone"))


def test_origin_leads_back_to_the_characters_of_pdfium(opened: Opened) -> None:
    (page,) = parse_pdf(opened(build_pdf([["ab", "cde"]])), "a.pdf")
    assert page.text == "ab\ncde"
    assert page.origin == (OriginRun(0, 0, 3), OriginRun(3, 4, 3))  # the text has \n, PDFium \r\n


def test_origin_skips_characters_without_text_and_counts_wide_ones_as_pdfium_does(opened: Opened) -> None:
    glyphs = {"A": "D83DDE00", "B": "0002", "C": "00660066", "D": "0044"}
    (page,) = parse_pdf(opened(build_pdf([["DABDCD"]], glyphs=glyphs)), "a.pdf")
    assert page.text == "D😀DffD"
    assert page.origin == (OriginRun(0, 0, 2), OriginRun(2, 4, 4)), page.origin


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("of the con\ufffeditions", "of the conditions"),
        ("on MS\ufffeDOS", "on MS-DOS"),
        ("see a.org/deb\ufffesec", "see a.org/deb-sec"),
        ("the year\ufffe2024", "the year-2024"),
        ("a\0b\x02c", "abc"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
    ],
)
def test_clean_joins_words_and_drops_what_is_no_text(raw: str, text: str) -> None:
    assert clean(raw)[0] == text


def test_every_run_of_a_cleaned_text_stands_for_equal_characters() -> None:
    raw = "A hy\ufffephen\r\nand\0 NUL\r\n\r\nMS\ufffeDOS\ufeff end\r\n"
    text, runs = clean(raw)
    covered = "".join(text[run.offset : run.offset + run.length] for run in runs)
    source = "".join(raw[run.source : run.source + run.length] for run in runs)
    assert covered == text == "A hyphen\nand NUL\n\nMS-DOS end\n"
    assert source.replace("\r", "\n").replace("\ufffe", "-") == text


def test_a_picture_without_text_is_an_unreadable_page_and_an_empty_page_is_not(opened: Opened) -> None:
    (scanned,) = parse_pdf(opened(build_pdf([[]], has_picture=True)), "a.pdf")
    (empty,) = parse_pdf(opened(build_pdf([[]])), "a.pdf")
    assert (scanned.text, scanned.quality, empty.text, empty.quality) == ("", "unreadable", "", "text")


def test_glyphs_that_stand_for_nothing_known_make_a_page_unreadable(opened: Opened) -> None:
    (page,) = parse_pdf(opened(build_pdf([["AAAA"]], glyphs={"A": "E001"})), "a.pdf")
    assert (page.text, page.quality) == ("\ue001" * 4, "unreadable")


def test_more_pages_than_allowed_are_refused_with_both_numbers(opened: Opened) -> None:
    with pytest.raises(DocumentError, match="has 3 pages; at most 2") as caught:
        list(parse_pdf(opened(build_pdf([["a"]] * 3)), "a.pdf", max_pages=2))
    assert caught.value.kind == DocumentErrorKind.TOO_MANY_PAGES


@pytest.mark.parametrize("content", [b"%PDF-1.5\nnothing", build_pdf([["a"]])[:200]])
def test_a_broken_pdf_is_corrupt(opened: Opened, content: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        list(parse_pdf(opened(content), "a.pdf"))
    assert caught.value.kind == DocumentErrorKind.CORRUPT


def test_a_circle_in_the_outline_ends(opened: Opened) -> None:
    content = build_pdf([["One"]], outline=[("One", 0), ("Two", 0)]).replace(b"/Prev ", b"/Next ")
    (page,) = parse_pdf(opened(content), "a.pdf")
    assert [heading.title for heading in page.headings] == ["One", "Two"]


def test_any_ranges_of_an_open_document_can_be_read_one_after_the_other(opened: Opened) -> None:
    content = build_pdf([["a"], ["b"], ["c"], ["d"]], outline=[("c", 2)], first_label=1)
    with PdfDocument(opened(content)) as document:
        later = list(document.pages(range(2, 4)))
        earlier = list(document.pages(range(2)))
    assert [(page.number, page.text, page.label, page.progress) for page in [*later, *earlier]] == [
        (3, "c", "iii", (1, 2)),
        (4, "d", "iv", (2, 2)),
        (1, "a", "i", (1, 2)),
        (2, "b", "ii", (2, 2)),
    ]
    assert [page.headings for page in later] == [(Heading(0, 1, "c"),), ()]


def test_a_page_that_was_read_ahead_is_the_same_page(opened: Opened) -> None:
    with PdfDocument(opened(build_pdf([["a"], ["b"]], outline=[("b", 1)]))) as document:
        plain = list(document.pages(range(2)))
        document.read_ahead(1)
        assert list(document.pages(range(2))) == plain
