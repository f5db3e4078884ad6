"""Plain text in any common encoding, and Markdown: decoded in blocks, so that memory does not grow with the file.

Owns the choice of the encoding. Source code, CSV, JSON and logs are plain text too. Knows no storage and no process.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from charset_normalizer import from_bytes

from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading, Page

BLOCK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
_MAX_LINE_CHARS = 1 << 22  # a longer line is broken: a block must end somewhere
_MAX_CHAR_BYTES = 4
_MAX_UNDECODED_SHARE = 0.01
_MAX_DAMAGED_SHARE = 0.1  # of what is not ASCII: with more, the text is not damaged UTF-8 but another encoding
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDER = {  # detectors name the oldest charset that fits a sample; its successor reads the rest of the file too
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_MARKDOWN = re.compile(
    r"^ {0,3}(?:(?P<fence>`{3,}|~{3,})[^\n]*"
    r"|(?P<marks>\#{1,6})[ \t]+(?P<title>[^\n]*?)[ \t]*\#*[ \t]*$"
    r"|(?P<underlined>[^\s\#>|`~=\-][^\n]*)\n {0,3}(?P<underline>=+|-{2,})[ \t]*$)",
    re.MULTILINE,
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR = re.compile(r"[ \t]*\{#[^}]*\}$|[*`]+")


class Encoding(NamedTuple):
    """How to read a text: the codec, and how many bytes of a mark come before it."""

    codec: str
    n_mark_bytes: int = 0


def parse_text(stream: BinaryIO, filename: str) -> Iterator[Page]:  # noqa: ARG001 - the signature of Parser
    """Yield a plain text in blocks that end at line ends. See ``Parser``."""
    for text, position, size in _blocks(stream):
        yield Page(number=None, text=text, progress=(position, size))


def parse_markdown(stream: BinaryIO, filename: str) -> Iterator[Page]:  # noqa: ARG001 - the signature of Parser
    """Yield a Markdown text as it is written, with its headings. See ``Parser``."""
    fence = ""
    for text, position, size in _blocks(stream):
        headings, fence = find_headings(text, fence)
        yield Page(number=None, text=text, headings=tuple(headings), progress=(position, size))


def find_encoding(stream: BinaryIO) -> Encoding:
    """Choose the encoding: a byte order mark, else UTF-8 where all of it is valid, else what a detector says.

    Raises:
        DocumentError: nothing fits.
    """
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    for mark, codec in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return Encoding(codec, len(mark))
    unmarked = unmarked_utf16(head)
    if unmarked is not None:
        return Encoding(unmarked)
    invalid = _first_invalid_utf8(stream)
    if invalid is None:
        return Encoding("utf-8")
    stream.seek(max(0, invalid - SAMPLE_BYTES // 2))
    return Encoding(_detect(stream.read(SAMPLE_BYTES), is_head=invalid < SAMPLE_BYTES // 2))


def unmarked_utf16(head: bytes) -> str | None:
    """Return the codec of UTF-16 without a mark, which every other byte of ASCII in it gives away; None else."""
    n_pairs = len(head) // 2
    n_even, n_odd = head[::2].count(0), head[1::2].count(0)
    if n_pairs < 4 or max(n_even, n_odd) < 0.2 * n_pairs or min(n_even, n_odd) > 0.01 * n_pairs:
        return None
    return "utf-16-le" if n_odd > n_even else "utf-16-be"


def find_headings(text: str, fence: str) -> tuple[list[Heading], str]:
    """Return the headings of Markdown text, and the fence that is open at its end, as ``fence`` is at its start."""
    headings = []
    for match in _MARKDOWN.finditer(text):
        if match["fence"]:
            if not fence:
                fence = match["fence"]
            elif match["fence"].startswith(fence) and not match.group().strip().strip(fence[0]):
                fence = ""
            continue
        title = _plain(match["title"] if match["marks"] else match["underlined"])
        if title and not fence:
            level = len(match["marks"]) if match["marks"] else 1 + (match["underline"][0] == "-")
            headings.append(Heading(match.start(), level, title))
    return headings, fence


def _blocks(stream: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Yield (text, bytes read, size); only the last text may lack its line end."""
    size = stream.seek(0, io.SEEK_END)
    pending = ""
    for text, position in _decoded(stream, find_encoding(stream)):
        pending += text
        cut = pending.rfind("\n") + 1
        if not cut and len(pending) > _MAX_LINE_CHARS:
            cut = len(pending)
        if cut:
            yield pending[:cut], position, size
            pending = pending[cut:]
    if pending:
        yield pending, size, size


def _decoded(stream: BinaryIO, encoding: Encoding) -> Iterator[tuple[str, int]]:
    codec = codecs.getincrementaldecoder(encoding.codec)(errors="replace")
    decoder = io.IncrementalNewlineDecoder(codec, translate=True)
    n_chars = n_undecoded = 0
    position = stream.seek(encoding.n_mark_bytes)
    while data := stream.read(BLOCK_BYTES):
        position += len(data)
        text = decoder.decode(data)
        n_chars += len(text)
        n_undecoded += text.count("\ufffd")
        yield _clean(text), position
    rest = _clean(decoder.decode(b"", final=True).rstrip("\ufffd"))  # the last character may be cut
    if rest:
        yield rest, position
    if n_undecoded > _MAX_UNDECODED_SHARE * n_chars:
        raise _unknown_encoding()


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\f", "\n").replace("\ufeff", "")


def _first_invalid_utf8(stream: BinaryIO) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = stream.seek(0)
    try:
        while data := stream.read(BLOCK_BYTES):
            decoder.decode(data)
            position += len(data)
    except UnicodeDecodeError as error:
        return position + error.start
    return None


def _detect(sample: bytes, *, is_head: bool) -> str:
    if not is_head:  # it begins anywhere, even inside a character: begin at a line
        sample = sample[sample.find(b"\n", 0, SAMPLE_BYTES // 2) + 1 :]
    if _is_damaged_utf8(sample):
        return "utf-8"
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    for n_cut in range(_MAX_CHAR_BYTES):  # a detector takes no cut character, and the sample may end in one
        best = from_bytes(sample[: len(sample) - n_cut]).best()
        if best is not None:
            return _WIDER.get(best.encoding, best.encoding)
    raise _unknown_encoding()


def _is_damaged_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    n_special = sum(map(len, re.findall(r"[^\x00-\x7f]+", text)))
    return text.count("\ufffd") <= _MAX_DAMAGED_SHARE * n_special


def _unknown_encoding() -> DocumentError:
    return DocumentError(
        DocumentErrorKind.CORRUPT, "The encoding of this text cannot be told; save it as UTF-8 and upload it again."
    )


def _plain(title: str) -> str:
    return _ANCHOR.sub("", _LINK.sub(r"\1", title)).strip()
