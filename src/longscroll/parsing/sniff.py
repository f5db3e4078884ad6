"""What a file is, told by its bytes; the name decides only among kinds of text and words an error.

Owns the signatures. Parses nothing: a format that is told may still be damaged inside.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO

from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import NO_TEXT
from longscroll.parsing.charset import SAMPLE_BYTES, unmarked_utf16
from longscroll.parsing.package import Package

SUPPORTED = "PDF, DOCX, Markdown and plain text"
_MAX_CONTROL_SHARE = 0.05
_MAX_NUL_SHARE = 0.3
_PDF_HEAD_BYTES = 1024  # PDFium, as every reader, looks for the header this far
_DIRECTORY_BYTES = 16 << 20
_NOT_CONTROL = bytes(sorted({*range(256)} - {*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F}))
_BYTE_ORDER_MARK = re.compile(rb"\xef\xbb\xbf|\xff\xfe|\xfe\xff|\x00\x00\xfe\xff")
_MARKDOWN_SUFFIXES = {".md", ".markdown", ".mdown", ".mkd", ".mdx"}

_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (8, b"WEBP", "a WebP picture"),
    (8, b"WAVE", "a WAVE recording"),
    (8, b"AVI ", "an AVI film"),
    (4, b"ftyphei", "a HEIF picture"),
    (4, b"ftyp", "a film or recording (MP4)"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"OggS", "an Ogg recording"),
    (0, b"fLaC", "a FLAC recording"),
    (0, b"\x1aE\xdf\xa3", "a Matroska film"),
    (60, b"BOOKMOBI", "a MOBI e-book"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an XZ archive"),
    (0, b"(\xb5/\xfd", "a Zstandard archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x7fELF", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
)
_PACKAGES = (
    ("xl/workbook.xml", "an Excel workbook (.xlsx)"),
    ("xl/workbook.bin", "an Excel workbook (.xlsb)"),
    ("ppt/presentation.xml", "a PowerPoint presentation (.pptx)"),
    ("META-INF/MANIFEST.MF", "a Java archive"),
    ("classes.dex", "an Android package"),
)
_MIMETYPES = (
    (b"application/epub+zip", "an EPUB e-book"),
    (b"application/vnd.oasis.opendocument.text", "an OpenDocument text (.odt)"),
    (b"application/vnd.oasis.opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)"),
    (b"application/vnd.oasis.opendocument", "an OpenDocument file"),
)
_COMPOUND_STREAMS = (  # OLE2: directory entries are named in UTF-16
    ("WordDocument", "a Word 97–2003 document (.doc)"),
    ("Workbook", "an Excel 97–2003 workbook (.xls)"),
    ("PowerPoint Document", "a PowerPoint 97–2003 presentation (.ppt)"),
    ("__substg1.0_", "an Outlook message (.msg)"),
)


class Format(StrEnum):
    """What can be parsed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    PDF = "pdf"
    DOCX = "docx"


def sniff(stream: BinaryIO, filename: str) -> Format:
    """Tell the format of a seekable stream; it is left anywhere.

    Raises:
        DocumentError: the file is empty, encrypted, damaged beyond telling, or of a format that is not supported; the
            sentence names what it looks like.
    """
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    if not head:
        raise DocumentError(DocumentErrorKind.BLANK, NO_TEXT)
    if b"%PDF-" in head[:_PDF_HEAD_BYTES]:
        return Format.PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _sniff_zip(stream)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise _compound(stream)
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset):
            raise _unsupported(name)
    if _is_bitmap(head):
        raise _unsupported("a BMP picture")
    if head.startswith(b"MZ") and not is_text(head):
        raise _unsupported("a program")
    suffix = PurePosixPath(filename.lower()).suffix
    if is_text(head):
        return Format.MARKDOWN if suffix in _MARKDOWN_SUFFIXES else Format.TEXT
    if suffix in (".pdf", ".docx"):
        kind = suffix[1:].upper()
        raise DocumentError(
            DocumentErrorKind.CORRUPT, f"The file is named {suffix} but is no {kind}: it is damaged or wrongly named."
        )
    raise _unsupported("binary data")


def is_text(head: bytes) -> bool:
    """Tell whether the first bytes of a file are text in some encoding."""
    if _BYTE_ORDER_MARK.match(head) or unmarked_utf16(head):
        return True
    n_nul = head.count(0)
    n_control = len(head.translate(None, _NOT_CONTROL)) - n_nul
    if n_control > _MAX_CONTROL_SHARE * len(head):
        return False
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError:
        return n_nul == 0
    return n_nul <= _MAX_NUL_SHARE * len(head)


def _is_bitmap(head: bytes) -> bool:
    return head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" and head[14:18] in (b"(\0\0\0", b"l\0\0\0", b"|\0\0\0")


def _sniff_zip(stream: BinaryIO) -> Format:
    with Package(stream) as package:
        names = package.names
        types, mimetype = _peek(package, "[Content_Types].xml"), _peek(package, "mimetype")
    if "word/document.xml" in names or b"wordprocessingml.document.main" in types:
        return Format.DOCX
    for start, name in _MIMETYPES:
        if mimetype.startswith(start):
            raise _unsupported(name)
    for member_name, name in _PACKAGES:
        if member_name in names:
            raise _unsupported(name)
    if "META-INF/container.xml" in names or any(name.lower().endswith(".opf") for name in names):
        raise _unsupported("an EPUB e-book")
    raise _unsupported("a ZIP archive; upload the files in it one by one")


def _peek(package: Package, name: str) -> bytes:
    if name not in package.names:
        return b""
    with package.open(name) as member:
        return member.read(SAMPLE_BYTES)


def _compound(stream: BinaryIO) -> DocumentError:
    stream.seek(0)
    content = stream.read(_DIRECTORY_BYTES)
    if "EncryptedPackage".encode("utf-16-le") in content:
        return DocumentError(
            DocumentErrorKind.ENCRYPTED,
            "This Office document needs a password to be read; upload a copy that is not protected.",
        )
    for entry, name in _COMPOUND_STREAMS:
        if entry.encode("utf-16-le") in content:
            return _unsupported(name)
    return _unsupported("an old Office document")


def _unsupported(name: str) -> DocumentError:
    return DocumentError(DocumentErrorKind.UNSUPPORTED, f"This looks like {name}; supported are {SUPPORTED}.")
