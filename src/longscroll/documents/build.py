"""Build a document's artifact from its pages, in one pass and in bounded memory.

Owns the joining of pages and the order of work: cut, count, index, write. Knows no format of uploaded files, no storage
and no process; it runs in the parser child, for inline text, and in benchmarks.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import BinaryIO

import msgspec
import numpy as np

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
    with writer.section("text") as section:
        build = _Build(section, counter)
        for page in pages:
            build.add_page(page)
            if on_progress and page.progress:
                on_progress(*page.progress, "bytes" if page.number is None else "pages")
        build.finish_text()
    return build.finish(writer, details)


class _Build:
    """The state between two pages: text not yet cut, and the tables so far."""

    def __init__(self, out: SectionWriter, counter: TokenCounter) -> None:
        self._out = out
        self._counter = counter
        self._lexer = Lexer()
        self._hash = hashlib.sha256()
        self._pending: list[str] = []
        self._n_pending = 0
        self._ends_line = True
        self._is_blank = True
        self._n_chars = 0  # of all pages so far, pending ones too
        self._headings = array("Q")
        self._starts = array("I", [0])
        self._bytes = array("Q", [0])
        self._n_tokens = array("I")
        self._pages: list[tuple[int, int, int]] = []
        self._labels: dict[int, str] = {}
        self._outline: list[OutlineEntry] = []
        self._origin: list[np.ndarray] = []
        self._segments: list[Segment] = []
        self._to_index: list[str] = []
        self._n_to_index = 0

    def add_page(self, page: Page) -> None:
        """Append a page; work is done as soon as there is a block of text."""
        if page.number is not None and not self._ends_line:
            self._append("\n")
        start = self._n_chars
        self._pages.append((start, page.number or 0, QUALITIES.index(page.quality)))
        if page.label is not None:
            self._labels[len(self._pages) - 1] = page.label
        for heading in page.headings:
            self._outline.append(OutlineEntry(heading.level, heading.title, start + heading.offset))
            self._headings.append(start + heading.offset)
        if page.origin:
            runs = [(start + run.offset, run.length, page.number or 0, run.source) for run in page.origin]
            self._origin.append(np.array(runs, dtype=ORIGIN))
        self._append(page.text)

    def finish_text(self) -> None:
        """Cut, count and write what is left."""
        self._cut_blocks(is_final=True)
        self._index()
        if self._is_blank:
            raise DocumentError(DocumentErrorKind.BLANK, "no text found")

    def finish(self, writer: ContainerWriter, details: str | None) -> ArtifactMeta:
        """Write all sections after the text."""
        meta = ArtifactMeta(
            n_chars=self._n_chars,
            n_bytes=self._bytes[-1],
            n_tokens=sum(self._n_tokens),
            n_pages=sum(1 for page in self._pages if page[1]) or None,
            n_passages=len(self._n_tokens),
            tokenizer="qwen" if self._counter.is_exact else "estimate",
            terms=TERMS_VERSION,
            sha256=self._hash.hexdigest(),
            segments=tuple(segment.first_passage for segment in self._segments),
            details=details or _unreadable_details(self._pages),
        )
        writer.add("meta", msgspec.json.encode(meta))
        writer.add("pages", np.array(self._pages, dtype=PAGE).tobytes())
        if self._labels:
            writer.add("pages.labels", msgspec.json.encode(self._labels))
        if self._outline:
            writer.add("outline", msgspec.json.encode(self._outline))
        if self._origin:
            writer.add("origin", np.concatenate(self._origin).tobytes())
        writer.add("passages.starts", np.array(self._starts, dtype="<u4").tobytes())
        writer.add("passages.bytes", np.array(self._bytes, dtype="<u8").tobytes())
        writer.add("passages.tokens", np.array(self._n_tokens, dtype="<u4").tobytes())
        for i, segment in enumerate(self._segments):
            for name, data in segment.to_sections(f"segment.{i}"):
                writer.add(name, data)
        writer.finish()
        return meta

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
        headings = [offset - base for offset in self._headings if base < offset]
        stops = list(cut_passages(block, headings=headings))
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


def _unreadable_details(pages: list[tuple[int, int, int]]) -> str | None:
    numbers = [number for _, number, quality in pages if QUALITIES[quality] == "unreadable" and number]
    if not numbers:
        return None
    named = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
    return f"{len(numbers)} of {len(pages)} pages could not be read: {named}."
