"""Any bytes into any parser end in pages or a DocumentError, and every page keeps what pages promise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories.docx_files import build_docx, build_zip, paragraph, table
from factories.pdf_files import build_pdf
from longscroll.errors import DocumentError
from longscroll.parsing.base import Page, Parser
from longscroll.parsing.formats import parse
from longscroll.parsing.office import parse_docx
from longscroll.parsing.pdf import clean, parse_pdf
from longscroll.parsing.text import find_headings, parse_markdown, parse_text

SEEDS = (
    build_pdf([["One", "two"], ["Three"]], outline=[("One", 0)], first_label=1),
    build_docx(paragraph("One", "a") + table(("b", "c")), styles='<w:style w:styleId="a"/>', header1=paragraph("d")),
    "# 标题\r\n\r\n正文\n".encode(),
    "中文文本，仅此而已。".encode("gbk"),
    "text".encode("utf-16"),
)
anything = st.binary(max_size=300) | st.sampled_from(SEEDS)
TAGS = [f"<{slash}w:{name}>" for name in ("p", "r", "t", "tbl", "tr", "tc") for slash in ("", "/")]
xml = st.lists(st.sampled_from([*TAGS, "a", "<!--", "&x;"]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A healthy file with some of its bytes changed, or cut."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for position in draw(st.lists(st.integers(0, len(content) - 1), max_size=20)):
        content[position] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))])


@pytest.fixture(scope="module")
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield file


def pages_of(parser: Parser, file: BinaryIO, content: bytes, filename: str) -> list[Page]:
    file.seek(0)
    file.truncate()
    file.write(content)
    file.seek(0)
    try:
        return list(parser(file, filename))
    except DocumentError:
        return []


def check(pages: list[Page]) -> None:
    for page in pages:
        page.text.encode()  # no lone surrogate
        assert not {"\0", "\r", "\ufeff"} & set(page.text)
        assert all(0 <= heading.offset <= len(page.text) for heading in page.headings)
        assert all(a.offset <= b.offset for a, b in pairwise(page.headings))
        assert all(a.offset + a.length <= b.offset and a.source < b.source for a, b in pairwise(page.origin))
        assert all(run.offset + run.length <= len(page.text) for run in page.origin)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=anything | damaged(), filename=st.sampled_from(["a.pdf", "a.docx", "a.md", "a.txt", "a"]))
def test_any_bytes_end_in_pages_or_a_document_error(file: BinaryIO, content: bytes, filename: str) -> None:
    check(pages_of(parse, file, content, filename))


@pytest.mark.parametrize("parser", [parse_text, parse_markdown, parse_pdf, parse_docx])
@settings(deadline=None)
@given(content=anything | damaged())
def test_any_bytes_into_any_parser_end_in_pages_or_a_document_error(
    file: BinaryIO, parser: Parser, content: bytes
) -> None:
    check(pages_of(parser, file, content, "a"))


@settings(deadline=None)
@given(parts=xml)
def test_any_markup_in_a_docx_ends_in_pages_or_a_document_error(file: BinaryIO, parts: list[str]) -> None:
    check(pages_of(parse_docx, file, build_docx("".join(parts)), "a.docx"))


@given(members=st.dictionaries(st.sampled_from(["word/document.xml", "_rels/.rels", "mimetype", "a"]), st.text()))
def test_any_package_ends_in_pages_or_a_document_error(file: BinaryIO, members: dict[str, str]) -> None:
    check(pages_of(parse, file, build_zip(members), "a.docx"))


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))  # NUL may mean UTF-16
def test_text_in_utf8_comes_back_whole(file: BinaryIO, text: str) -> None:
    pages = pages_of(parse_text, file, text.encode(), "a.txt")
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    assert "".join(page.text for page in pages) == plain.replace("\ufeff", "")


@given(raw=st.text(st.sampled_from("aB1 -\r\n\ufffe\0\ufeff中😀")))
def test_cleaning_a_page_keeps_the_way_back(raw: str) -> None:
    text, runs = clean(raw)
    covered = "".join(text[run.offset : run.offset + run.length] for run in runs)
    source = "".join(raw[run.source : run.source + run.length] for run in runs)
    assert covered == text
    assert source.translate({13: "\n", 0xFFFE: "-"}) == text


@given(text=st.text(st.sampled_from("#=-` \n~ab")))
def test_markdown_headings_stand_in_order_at_line_starts(text: str) -> None:
    headings, _ = find_headings(text, "")
    assert all(a.offset < b.offset for a, b in pairwise(headings))
    assert all(heading.offset == 0 or text[heading.offset - 1] == "\n" for heading in headings)
