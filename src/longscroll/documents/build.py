"""Build a document's artifact from its pages, in one pass and in bounded memory.

Owns the joining of pages and the order of work: cut, count, index, write. Knows no format of uploaded files, no storage
and no process; it runs in the parser child, for inline text, and in benchmarks.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from longscroll.documents.artifact import ORIGIN, PAGE, QUALITIES, ArtifactMeta, OutlineEntry
from longscroll.documents.container import ContainerWriter, SectionWriter
from longscroll.documents.passages import cut_passages
from longscroll.documents.segment import TERMS_VERSION, Segment, build_segment
from longscroll.documents.terms import Lexer
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Page
from longscroll.tokens import TokenCounter, is_stable_cut, settled_length

BLOCK_CHARS = 1 << 20  # of text that is cut, counted and written at a time
SEGMENT_CHARS = 1 << 22  # of text that one segment covers, about
INVISIBLE = " \t\n\r\f\v\u00a0\u00ad\u200b\u200c\u200d\u2060\u3000\ufeff"

MAX_NAMED = 10  # unreadable pages in one sentence

OnProgress = Callable[[int, int, str], None]


def build_artifact(
    pages: Iterable[Page],
    out: BinaryIO,
    counter: TokenCounter,
    *,
    details: str | None = None,
    on_progress: OnProgress | None = None,
) -> ArtifactMeta:
    """Write the artifact of a document; a page with a number begins a new line, text without pages is joined as it is.

    ``details`` is a sentence for people; without one, unreadable pages are named. ``on_progress(done, total, unit)`` is
    called after each page that says how far it is. Takes 0.6 CPU seconds for a million tokens.

    Raises:
        DocumentError: there is no visible text (``BLANK``), or the pages raised it.
    """
    writer = ContainerWriter(out)
    structure = _Structure()
    with writer.section("text") as section:
        build = _Build(section, counter, structure)
        for page in pages:
            build.add_page(page)
            if on_progress and page.progress:
                on_progress(*page.progress, "bytes" if page.number is None else "pages")
        build.finish_text()
    meta = build.meta(details or structure.unreadable_details())
    writer.add("meta", msgspec.json.encode(meta))
    for name, data in (*structure.sections(), *build.sections()):
        writer.add(name, data)
    writer.finish()
    return meta


class _Structure:
    """What is known of places in the text: pages, headings, where characters came from."""

    def __init__(self) -> None:
        self._pages: list[tuple[int, int, int]] = []  # start, number or 0, quality
        self._labels: dict[int, str] = {}
        self._outline: list[OutlineEntry] = []
        self._offsets = array("Q")  # of the outline
        self._origin: list[NDArray[np.void]] = []

    @property
    def n_pages(self) -> int | None:
        """The number of pages; None where the format has none."""
        return sum(1 for _, number, _ in self._pages if number) or None

    def add(self, page: Page, start: int) -> None:
        """Note a page whose text begins at ``start``."""
        if page.label is not None:
            self._labels[len(self._pages)] = page.label
        number = page.number or 0
        self._pages.append((start, number, QUALITIES.index(page.quality)))
        for heading in page.headings:
            self._outline.append(OutlineEntry(heading.level, heading.title, start + heading.offset))
            self._offsets.append(start + heading.offset)
        if page.origin:
            runs = [(start + run.offset, run.length, number, run.source) for run in page.origin]
            self._origin.append(np.array(runs, dtype=ORIGIN))

    def headings_between(self, start: int, stop: int) -> list[int]:
        """Return where sections begin after ``start`` and up to ``stop``, counted from ``start``."""
        found = self._offsets[bisect_right(self._offsets, start) : bisect_right(self._offsets, stop)]
        return [offset - start for offset in found]

    def unreadable_details(self) -> str | None:
        """Say in one sentence which pages could not be read."""
        unreadable = QUALITIES.index("unreadable")
        numbers = [number for _, number, quality in self._pages if quality == unreadable and number]
        if not numbers:
            return None
        named = ", ".join(map(str, numbers[:MAX_NAMED])) + (", …" if len(numbers) > MAX_NAMED else "")
        return f"{len(numbers)} of {len(self._pages)} pages could not be read: {named}."

    def sections(self) -> Iterator[tuple[str, bytes]]:
        """Yield the sections of an artifact that hold this."""
        yield "pages", np.array(self._pages, dtype=PAGE).tobytes()
        if self._labels:
            yield "pages.labels", msgspec.json.encode(self._labels)
        if self._outline:
            yield "outline", msgspec.json.encode(self._outline)
        if self._origin:
            yield "origin", np.concatenate(self._origin).tobytes()


class _Build:
    """The text between two pages: what is not yet cut, and the tables of what is."""

    def __init__(self, out: SectionWriter, counter: TokenCounter, structure: _Structure) -> None:
        self._out = out
        self._counter = counter
        self._structure = structure
        self._lexer = Lexer()
        self._hash = hashlib.sha256()
        self._pending: list[str] = []
        self._n_pending = 0
        self._n_chars = 0  # of all pages so far, pending ones too
        self._ends_line = True
        self._is_blank = True
        self._starts = array("I", [0])
        self._bytes = array("Q", [0])
        self._n_tokens = array("I")
        self._segments: list[Segment] = []
        self._to_index: list[str] = []
        self._n_to_index = 0

    def add_page(self, page: Page) -> None:
        """Append a page; work is done as soon as there is a block of text."""
        if page.number is not None and not self._ends_line:
            self._append("\n")
        self._structure.add(page, self._n_chars)
        self._append(page.text)

    def finish_text(self) -> None:
        """Cut, count and write what is left."""
        self._cut_blocks(is_final=True)
        self._index()
        if self._is_blank:
            raise DocumentError(DocumentErrorKind.BLANK, "no text found")

    def meta(self, details: str | None) -> ArtifactMeta:
        """Return the facts of the whole document."""
        return ArtifactMeta(
            n_chars=self._n_chars,
            n_bytes=self._bytes[-1],
            n_tokens=sum(self._n_tokens),
            n_pages=self._structure.n_pages,
            n_passages=len(self._n_tokens),
            tokenizer="qwen" if self._counter.is_exact else "estimate",
            terms=TERMS_VERSION,
            sha256=self._hash.hexdigest(),
            segments=tuple(segment.first_passage for segment in self._segments),
            details=details,
        )

    def sections(self) -> Iterator[tuple[str, bytes]]:
        """Yield the sections of passages and segments."""
        yield "passages.starts", np.array(self._starts, dtype="<u4").tobytes()
        yield "passages.bytes", np.array(self._bytes, dtype="<u8").tobytes()
        yield "passages.tokens", np.array(self._n_tokens, dtype="<u4").tobytes()
        for i, segment in enumerate(self._segments):
            yield from segment.to_sections(f"segment.{i}")

    def _append(self, text: str) -> None:
        if not text:
            return
        self._pending.append(text)
        self._n_pending += len(text)
        self._n_chars += len(text)
        self._ends_line = text[-1] == "\n"
        if self._n_pending >= 2 * BLOCK_CHARS:
            self._cut_blocks(is_final=False)

    def _cut_blocks(self, *, is_final: bool) -> None:
        """Cut pending text into blocks, and each block into passages; a rest under a block waits for more."""
        text = self._pending[0] if len(self._pending) == 1 else "".join(self._pending)
        start = 0
        while len(text) - start >= 2 * BLOCK_CHARS or (is_final and start < len(text)):
            block = text[start : start + BLOCK_CHARS]
            is_last = is_final and len(text) - start <= BLOCK_CHARS
            start += self._process(block if is_last else block[: settled_length(block) or len(block)], is_last=is_last)
        self._pending = [text[start:]] if start < len(text) else []
        self._n_pending = len(text) - start

    def _process(self, block: str, *, is_last: bool) -> int:
        """Cut, count, index and write a block, or its first part up to a stable cut; return how much was done."""
        base = self._starts[-1]
        stops = list(cut_passages(block, headings=self._structure.headings_between(base, base + len(block))))
        if not is_last:
            stops = _up_to_stable_cut(block, stops)
        passages = [block[a:b] for a, b in pairwise((0, *stops))]
        self._n_tokens.extend(self._counter.count_pieces(block[: stops[-1]], stops))
        self._starts.extend(base + stop for stop in stops)
        for passage in passages:
            data = passage.encode()
            self._out.write(data)
            self._hash.update(data)
            self._bytes.append(self._bytes[-1] + len(data))
        self._is_blank = self._is_blank and not block[: stops[-1]].strip(INVISIBLE)
        self._to_index += passages
        self._n_to_index += stops[-1]
        if self._n_to_index >= SEGMENT_CHARS:
            self._index()
        return stops[-1]

    def _index(self) -> None:
        if self._to_index:
            first = len(self._n_tokens) - len(self._to_index)
            self._segments.append(build_segment(self._to_index, self._lexer, first_passage=first))
        self._to_index = []
        self._n_to_index = 0


def _up_to_stable_cut(block: str, stops: list[int]) -> list[int]:
    """Keep the passages up to the last cut that no token crosses, so that the counts of blocks add up."""
    for i in range(len(stops) - 1, len(stops) // 2, -1):
        if stops[i - 1] < len(block) and is_stable_cut(block, stops[i - 1]):
            return stops[:i]
    return stops  # the block itself ends at a stable place
