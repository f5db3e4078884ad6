"""DOCX: paragraphs, headings, table rows, notes, comments and headers, streamed out of the package's XML.

Knows WordprocessingML in both its namespaces; limits and XML safety are ``package``'s. Each text appears once: merged
cells, both branches of alternate content, deleted and moved-away text do not repeat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from lxml import etree

from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading, Page
from longscroll.parsing.package import Member, Package, forget

BLOCK_CHARS = 1 << 16
CELL_SEPARATOR = " | "
_TRANSITIONAL = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_MATH = (
    "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "http://purl.oclc.org/ooxml/officeDocument/math",
)
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_HEADING_NAME = re.compile(r"heading ([1-9])")
_MAX_BASED_ON = 20


def _word(*names: str) -> tuple[str, ...]:
    return tuple(f"{{{namespace}}}{name}" for name in names for namespace in (_TRANSITIONAL, _STRICT))


_HIDDEN_NAMES = ("Fallback", "moveFrom", "rt")
_HIDDEN = (f"{{{_COMPATIBILITY}}}Fallback", *_word("moveFrom", "rt"))
_BLOCKS = _word("p", "tbl", "tr", "tc")
_APART = _word("footnote", "endnote", "comment", "hdr", "ftr")
_LOCAL_NAMES = {tag: tag.rpartition("}")[2] for tag in (*_HIDDEN, *_BLOCKS, *_APART)}
_RUN = frozenset(_word("r"))
_TEXT = frozenset((*_word("t"), *(f"{{{namespace}}}t" for namespace in _MATH)))
_SIGNS = {
    **dict.fromkeys(_word("tab", "ptab"), "\t"),
    **dict.fromkeys(_word("br", "cr"), "\n"),
    **dict.fromkeys(_word("noBreakHyphen"), "-"),
}
_NOTE_REFERENCES = {
    **dict.fromkeys(_word("footnoteReference"), "footnote"),
    **dict.fromkeys(_word("endnoteReference"), "endnote"),
}
_INLINE = (*_TEXT, *_SIGNS, *_NOTE_REFERENCES)
_STYLE = _word("style")


class _Paragraph(NamedTuple):
    text: str
    level: int | None = None  # of a heading


class Styles:
    """Which paragraph styles are headings, by their outline level, their name or the style they are based on."""

    def __init__(self) -> None:
        self._levels: dict[str, int | None] = {}
        self._based_on: dict[str, str] = {}

    def add(self, style: etree._Element) -> None:
        """Take one ``w:style``."""
        style_id = _attribute(style, "styleId")
        name = _value(style, "name").lower()
        outline = _child(style, "pPr", "outlineLvl")
        found = _HEADING_NAME.fullmatch(name)
        if outline is not None:
            self._levels[style_id] = _outline_level(outline)
        elif found or name == "title":
            self._levels[style_id] = int(found[1]) if found else 1
        self._based_on[style_id] = _value(style, "basedOn")

    def level(self, paragraph: etree._Element) -> int | None:
        """Return the heading level of a ``w:p``, or None."""
        outline = _child(paragraph, "pPr", "outlineLvl")
        if outline is not None:
            return _outline_level(outline)
        style_element = _child(paragraph, "pPr", "pStyle")
        style = _attribute(style_element, "val") if style_element is not None else ""
        for _ in range(_MAX_BASED_ON):
            if style in self._levels or not style:
                break
            style = self._based_on.get(style, "")
        return self._levels.get(style)


def parse_docx(stream: BinaryIO, filename: str) -> Iterator[Page]:  # noqa: ARG001 - the signature of Parser
    """Yield the text of a DOCX in blocks: the body, then notes, comments, headers and footers. See ``Parser``."""
    with Package(stream) as package:
        main = _main_part(package)
        relations = package.relations(main)
        reader = _Reader(_read_styles(package, relations.get("styles", [])))
        with package.open(main) as member:
            yield from _pages(member, reader.paragraphs(package, member))
        lines = [*_notes(package, relations, reader), *_comments(package, relations), *_margins(package, relations)]
        if lines:
            yield Page(number=None, text="".join(f"{line}\n" for line in lines))


def _main_part(package: Package) -> str:
    for name in (*package.relations("").get("officeDocument", []), "word/document.xml"):
        if name in package.names:
            return name
    raise DocumentError(DocumentErrorKind.CORRUPT, "The document is damaged: its main part is missing.")


def _read_styles(package: Package, parts: list[str]) -> Styles:
    styles = Styles()
    for part in parts[:1]:
        with package.open(part) as member:
            for _, style in package.events(member, tags=_STYLE, both=False):
                styles.add(style)
                forget(style)
    return styles


def _pages(member: Member, paragraphs: Iterator[_Paragraph]) -> Iterator[Page]:
    lines: list[str] = []
    headings: list[Heading] = []
    n_chars = 0
    was_blank = False
    for text, level in paragraphs:
        is_blank = not text.strip()
        if is_blank and was_blank:
            continue
        was_blank = is_blank
        if level is not None and not is_blank:
            headings.append(Heading(n_chars, level, " ".join(text.split())))
        lines.append(f"{text}\n")
        n_chars += len(text) + 1
        if n_chars >= BLOCK_CHARS:
            yield _page(lines, headings, member)
            lines, headings, n_chars = [], [], 0
    yield _page(lines, headings, member)


def _page(lines: list[str], headings: list[Heading], member: Member) -> Page:
    progress = (min(member.n_read, member.size_bytes), member.size_bytes)
    return Page(number=None, text="".join(lines), headings=tuple(headings), progress=progress)


class _Reader:
    """Walks parts of one document; what stands in table cells is held back until its row ends."""

    def __init__(self, styles: Styles) -> None:
        self._styles = styles
        self._cells: list[list[list[str]]] = []  # words of the cells of the open rows, the innermost row last
        self._n_hidden = 0  # open elements whose text is not read
        self.note_numbers: dict[tuple[str, str], int] = {}  # in the order in which the text refers to them

    def paragraphs(self, package: Package, member: Member) -> Iterator[_Paragraph]:
        """Yield the paragraphs and rows of a part, in order; a text box comes before the paragraph it hangs on."""
        for item in self._walk(package, member):
            if isinstance(item, _Paragraph):
                yield item

    def sections(self, package: Package, part: str) -> Iterator[tuple[etree._Element, str]]:
        """Yield the notes, comments or whole margins of a part, each with its text in one line."""
        texts: list[str] = []
        with package.open(part) as member:
            for item in self._walk(package, member):
                if isinstance(item, _Paragraph):
                    texts += item.text.split()
                else:
                    if texts:
                        yield item, " ".join(texts)
                    texts = []
                    forget(item)

    def _walk(self, package: Package, member: Member) -> Iterator[_Paragraph | etree._Element]:
        for event, element in package.events(member, tags=tuple(_LOCAL_NAMES)):
            name = _LOCAL_NAMES[str(element.tag)]
            if event == "start":
                self._open(name)
            elif name in _HIDDEN_NAMES:
                self._n_hidden -= 1
                element.clear()
            elif not self._n_hidden:
                yield from self._close(name, element)

    def _open(self, name: str) -> None:
        if name in _HIDDEN_NAMES:
            self._n_hidden += 1
        elif name == "tr" and not self._n_hidden:
            self._cells.append([])
        elif name == "tc" and self._cells and not self._n_hidden:
            self._cells[-1].append([])

    def _close(self, name: str, element: etree._Element) -> Iterator[_Paragraph | etree._Element]:
        paragraph = None
        if name == "p":
            paragraph = _Paragraph(self._text(element), self._styles.level(element))
        elif name == "tr" and self._cells:
            row = CELL_SEPARATOR.join(" ".join(words) for words in self._cells.pop())
            paragraph = _Paragraph(row) if row.strip(CELL_SEPARATOR) else None
        elif name not in ("tbl", "tc"):
            yield element
            return
        forget(element)
        if paragraph is not None and self._cells and self._cells[-1]:
            self._cells[-1][-1] += paragraph.text.split()
        elif paragraph is not None:
            yield paragraph

    def _text(self, paragraph: etree._Element) -> str:
        parts = []
        for element in paragraph.iter(*_INLINE):
            tag = str(element.tag)
            parent = element.getparent()
            if tag in _TEXT:
                parts.append(element.text or "")
            elif parent is not None and parent.tag in _RUN:  # not a tab stop of the paragraph's properties
                parts.append(_SIGNS[tag] if tag in _SIGNS else self._mark(_NOTE_REFERENCES[tag], element))
        return "".join(parts).replace("\r", "").replace("\ufeff", "").strip("\n")

    def _mark(self, kind: str, reference: etree._Element) -> str:
        key = kind, _attribute(reference, "id")
        return f"[^{self.note_numbers.setdefault(key, len(self.note_numbers) + 1)}]"


def _notes(package: Package, relations: dict[str, list[str]], reader: _Reader) -> list[str]:
    """Return the foot- and endnotes that the text refers to, under their numbers."""
    lines = []
    for kind in ("footnote", "endnote"):
        for part in relations.get(f"{kind}s", []):
            for note, text in _Reader(Styles()).sections(package, part):
                number = reader.note_numbers.get((kind, _attribute(note, "id")))
                if number is not None:
                    lines.append((number, text))
    return [f"[^{number}] {text}" for number, text in sorted(lines)]


def _comments(package: Package, relations: dict[str, list[str]]) -> list[str]:
    return [
        f"{_attribute(comment, 'author')}: {text}".removeprefix(": ")
        for part in relations.get("comments", [])
        for comment, text in _Reader(Styles()).sections(package, part)
    ]


def _margins(package: Package, relations: dict[str, list[str]]) -> list[str]:
    """Return headers and footers, each text once: they repeat on every printed page."""
    parts = [part for kind in ("header", "footer") for part in relations.get(kind, [])]
    return list(dict.fromkeys(text for part in parts for _, text in _Reader(Styles()).sections(package, part)))


def _child(element: etree._Element, *path: str) -> etree._Element | None:
    found: etree._Element | None = element
    for name in path:
        if found is None:
            return None
        found = next(found.iterchildren(*_word(name)), None)
    return found


def _value(element: etree._Element, name: str) -> str:
    child = _child(element, name)
    return _attribute(child, "val") if child is not None else ""


def _attribute(element: etree._Element, name: str) -> str:
    return element.get(f"{{{_TRANSITIONAL}}}{name}") or element.get(f"{{{_STRICT}}}{name}") or ""


def _outline_level(outline: etree._Element) -> int | None:
    value = _attribute(outline, "val")
    return int(value) + 1 if value.isdecimal() and int(value) < 9 else None
