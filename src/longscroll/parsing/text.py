"""Plain text in any common encoding, and Markdown: decoded in blocks, so that memory does not grow with the file.

Source code, CSV, JSON and logs are plain text too. Which encoding it is, ``charset`` tells. Knows no storage and no
process.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from longscroll.parsing.base import Heading, Page
from longscroll.parsing.charset import Encoding, find_encoding, unknown_encoding

BLOCK_BYTES = 1 << 20
_MAX_LINE_CHARS = 1 << 22  # a longer line is broken: a block must end somewhere
_MAX_UNDECODED_SHARE = 0.01
_MARKDOWN = re.compile(
    r"^ {0,3}(?:(?P<fence>`{3,}|~{3,})[^\n]*"
    r"|(?P<marks>\#{1,6})[ \t]+(?P<title>[^\n]*?)[ \t]*\#*[ \t]*$"
    r"|(?P<underlined>[^\s\#>|`~=\-][^\n]*)\n {0,3}(?P<underline>=+|-{2,})[ \t]*$)",
    re.MULTILINE,
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ANCHOR = re.compile(r"[ \t]*\{#[^}]*\}$|[*`]+")


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
    if not encoding.is_valid and n_undecoded > _MAX_UNDECODED_SHARE * n_chars:
        raise unknown_encoding()


def _clean(text: str) -> str:
    return text.replace("\0", "").replace("\f", "\n").replace("\ufeff", "")


def _plain(title: str) -> str:
    return _ANCHOR.sub("", _LINK.sub(r"\1", title)).strip()
