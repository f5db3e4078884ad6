"""Documents whose every line says whose it is, so that a raw look at a disk tells what is left of whom.

A line bears its document's token in hexadecimal digits and, in plain text, in Han characters; the name of the file
bears it too. The search takes any bytes for what they are: a database, its log, a blob, something half written.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from factories.docx_files import build_docx, paragraph
from factories.pdf_files import build_pdf

_FIRST_HAN = 0x5000  # of 256 in a row, one for each value of a byte
_HAN_MARK = "龘龖"
_NAME = "qn"  # how the name of a file begins, so that a row that is left is told from text that is
_NAMES = re.compile(rb"qn([0-9a-f]{12})")
_HEX = re.compile(rb"qz([0-9a-f]{12})")
_HAN = re.compile(re.escape(_HAN_MARK.encode()) + rb"((?:\xe5[\x80-\x83][\x80-\xbf]){6})")
_LINES_OF_A_PAGE = 20
_SMALL_BYTES = 300_000


class Trace(NamedTuple):
    """Where something of a document was found."""

    path: Path
    is_text: bool  # not only the name


class Document(Struct, frozen=True, kw_only=True):
    """One document to upload, and what must become of it."""

    token: str
    filename: str
    data: bytes
    n_lines: int
    is_plain: bool = False  # its text is its bytes

    @property
    def sha256(self) -> str:
        """The hash of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def is_small(self) -> bool:
        """Whether it is read in a small part of a second."""
        return len(self.data) < _SMALL_BYTES


def make_token(chance: random.Random) -> str:
    """Return a token that no other document has."""
    return f"{chance.getrandbits(48):012x}"


def text_document(token: str, *, size_bytes: int) -> Document:
    """Return plain text of about that size."""
    lines: list[str] = []
    size = 0
    while size < size_bytes:
        lines.append(f"{_line(token, len(lines))} {_in_han(token)}。\n")
        size += len(lines[-1].encode())
    data = "".join(lines).encode()
    return Document(token=token, filename=f"{_NAME}{token}.txt", data=data, n_lines=len(lines), is_plain=True)


def pdf_document(token: str, *, n_pages: int) -> Document:
    """Return a PDF of that many pages."""
    n_lines = n_pages * _LINES_OF_A_PAGE
    lines = [_line(token, number) for number in range(n_lines)]
    pages = [lines[first : first + _LINES_OF_A_PAGE] for first in range(0, n_lines, _LINES_OF_A_PAGE)]
    return Document(token=token, filename=f"{_NAME}{token}.pdf", data=build_pdf(pages), n_lines=n_lines)


def docx_document(token: str, *, n_lines: int) -> Document:
    """Return a DOCX; what it says is compressed, so the package bears the token as its comment."""
    package = io.BytesIO(build_docx("".join(paragraph(_line(token, number)) for number in range(n_lines))))
    with zipfile.ZipFile(package, "a") as file:
        file.comment = f"qz{token}".encode()
    return Document(token=token, filename=f"{_NAME}{token}.docx", data=package.getvalue(), n_lines=n_lines)


def tokens_in(data: bytes) -> dict[str, bool]:
    """Return whose bytes these are, and whether they are text; otherwise only the name of the file is there."""
    said = {match.decode() for match in _HEX.findall(data)}
    said |= {bytes(ord(character) - _FIRST_HAN for character in match.decode()).hex() for match in _HAN.findall(data)}
    named = {match.decode() for match in _NAMES.findall(data)}
    return {token: token in said for token in said | named}


def n_lines_of(token: str, text: str) -> int:
    """Return how many lines of a document a text has, in their order and each once; -1 where they are not so."""
    numbers = [int(number) for number in re.findall(rf"Day (\d+) of qz{token}", text)]
    return len(numbers) if numbers == list(range(len(numbers))) else -1


def tokens_on_disk(folder: Path) -> dict[str, set[Trace]]:
    """Return, for each token in the bytes or the name of a file anywhere in the folder, where it was seen."""
    return Search(folder).tokens()


class Search:
    """A raw search that is made again and again: a file that did not change since is not read again."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read before ``tokens``."""
        self._folder = folder
        self._known: dict[tuple[int, int, int], dict[str, bool]] = {}

    def tokens(self) -> dict[str, set[Trace]]:
        """Return where each token is; see ``tokens_on_disk``."""
        seen: dict[str, set[Trace]] = {}
        for within, _, names in os.walk(self._folder):
            for path in (Path(within) / name for name in names):
                for token, is_text in (tokens_in(path.name.encode()) | self._tokens_of(path)).items():
                    seen.setdefault(token, set()).add(Trace(path, is_text))
        return seen

    def _tokens_of(self, path: Path) -> dict[str, bool]:
        try:
            found = path.stat()
            version = found.st_ino, found.st_mtime_ns, found.st_size
            if version not in self._known or "longscroll.db" in path.name:  # a mapped file changes unseen
                self._known[version] = tokens_in(path.read_bytes())
        except OSError:  # gone meanwhile
            return {}
        return self._known[version]


def _line(token: str, number: int) -> str:
    return f"Day {number} of qz{token}: the lamp burned {number % 17} hours."


def _in_han(token: str) -> str:
    return _HAN_MARK + "".join(chr(_FIRST_HAN + value) for value in bytes.fromhex(token))
