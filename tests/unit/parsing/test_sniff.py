"""Formats are told by content; what is not supported is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import pytest

from factories.docx_files import build_docx, build_zip, paragraph
from factories.pdf_files import build_pdf
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.sniff import Format, sniff

Opened = Callable[[bytes], BinaryIO]

COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


@pytest.mark.parametrize(
    ("content", "filename", "detected"),
    [
        (build_pdf([["a"]]), "wrong.docx", Format.PDF),
        (b"junk before\n" + build_pdf([["a"]]), "a.pdf", Format.PDF),
        (build_docx(paragraph("a")), "wrong.pdf", Format.DOCX),
        (b"plain", "wrong.pdf", Format.TEXT),
        ("纯文本".encode("gbk"), "a", Format.TEXT),
        ("wide".encode("utf-16"), "a.txt", Format.TEXT),
        (b"# Title", "README.MD", Format.MARKDOWN),
        (b'{"a": 1}', "a.json", Format.TEXT),
        (b"abc\0\0def\n" * 9, "a.log", Format.TEXT),
        (b"\x1b[31mred\x1b[0m\n", "a.log", Format.TEXT),
    ],
)
def test_content_decides_and_the_name_only_among_texts(
    opened: Opened, content: bytes, filename: str, detected: Format
) -> None:
    assert sniff(opened(content), filename) == detected


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "a JPEG picture"),
        (bytes(60) + b"BOOKMOBI" + bytes(40), "a MOBI e-book"),
        (b"{\\rtf1 hello}", "an RTF document"),
        (build_zip({"mimetype": "application/epub+zip"}), "an EPUB e-book"),
        (build_zip({"META-INF/container.xml": ""}), "an EPUB e-book"),
        (build_zip({"xl/workbook.xml": ""}), r"an Excel workbook \(.xlsx\)"),
        (build_zip({"a.txt": ""}), "a ZIP archive"),
        (COMPOUND + "WordDocument".encode("utf-16-le"), r"a Word 97–2003 document \(.doc\)"),
        (bytes(range(256)) * 4, "binary data"),
    ],
)
def test_what_is_not_supported_is_named(opened: Opened, content: bytes, name: str) -> None:
    with pytest.raises(DocumentError, match=f"looks like {name}.*; supported are PDF, DOCX") as caught:
        sniff(opened(content), "a.bin")
    assert caught.value.kind == DocumentErrorKind.UNSUPPORTED


def test_an_encrypted_office_document_says_that_a_password_is_needed(opened: Opened) -> None:
    with pytest.raises(DocumentError, match="needs a password") as caught:
        sniff(opened(COMPOUND + "EncryptedPackage".encode("utf-16-le")), "a.docx")
    assert caught.value.kind == DocumentErrorKind.ENCRYPTED


@pytest.mark.parametrize(
    ("content", "filename", "sentence"),
    [
        (bytes(range(256)) * 4, "a.pdf", "named .pdf but is no PDF"),
        (build_zip({"word/document.xml": "<a/>"})[:-30], "a.docx", "is damaged and cannot be read"),
    ],
)
def test_a_damaged_file_is_corrupt(opened: Opened, content: bytes, filename: str, sentence: str) -> None:
    with pytest.raises(DocumentError, match=sentence) as caught:
        sniff(opened(content), filename)
    assert caught.value.kind == DocumentErrorKind.CORRUPT


def test_an_empty_file_is_blank(opened: Opened) -> None:
    with pytest.raises(DocumentError, match=r"^no text found$") as caught:
        sniff(opened(b""), "a.pdf")
    assert caught.value.kind == DocumentErrorKind.BLANK
