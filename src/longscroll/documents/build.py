"""Build a document's artifact from its pages, in one pass and in bounded memory.

Owns the joining of pages and the order of work: cut, count, index; and how a long document is cut into parts. Knows no
format of uploaded files, no section of the artifact, no storage and no process; it runs in the parser child, for inline
text, and in benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain, pairwise
from typing import BinaryIO

from longscroll.documents.artifact import ArtifactMeta
from longscroll.documents.passages import cut_passages
from longscroll.documents.segment import build_segment
from longscroll.documents.terms import Lexer
from longscroll.documents.writer import ArtifactWriter
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import NO_TEXT, Page
from longscroll.tokens import TokenCounter, is_stable_cut, settled_length

BLOCK_CHARS = 1 << 19  # of text that is cut, counted and written at a time
SEGMENT_BYTES = 1 << 22  # of text that one segment covers, about
PART_CHARS = 15 << 18  # whose segments and tables are held in memory at a time: four blocks of plain text
INVISIBLE = " \t\n\r\f\v\u00a0\u00ad\u200b\u200c\u200d\u2060\u3000\ufeff"

OnProgress = Callable[[int, int, str], None]


def build_artifact(
    pages: Iterable[Page],
    out: BinaryIO,
    counter: TokenCounter,
    *,
    details: str | None = None,
    on_progress: OnProgress | None = None,
    may_be_blank: bool = False,
) -> ArtifactMeta:
    """Write the artifact of a document; a page with a number begins a new line, text without pages is joined as it is.

    ``details`` is a sentence for people; without one, unreadable pages are named. ``on_progress(done, total, unit)`` is
    called after each page that says how far it is. ``may_be_blank`` is for a part, beside which others may have text.
    Takes 0.6 CPU seconds for a million tokens.

    Raises:
        DocumentError: there is no visible text (``BLANK``), or the pages raised it.
    """
    build = _Build(ArtifactWriter(out), counter)
    for page in pages:
        build.add_page(page)
        if on_progress and page.progress:
            on_progress(*page.progress, "bytes" if page.number is None else "pages")
    return build.finish(details, may_be_blank=may_be_blank)


def parts_of(pages: Iterable[Page], n_chars: int = PART_CHARS) -> Iterator[Iterator[Page]]:
    """Cut a stream of pages into parts of ``n_chars`` code points or a little more, each at least a page, lazily.

    A part must be exhausted before the next one is asked for. Errors of the pages come out of either iterator.
    """
    rest = iter(pages)
    for first in rest:
        yield _part(chain((first,), rest), n_chars)


def _part(pages: Iterator[Page], n_chars: int) -> Iterator[Page]:
    for page in pages:
        yield page
        n_chars -= len(page.text)
        if n_chars <= 0:
            return


class _Build:
    """The text between two pages: what is not yet cut, and what is cut but not yet indexed."""

    def __init__(self, writer: ArtifactWriter, counter: TokenCounter) -> None:
        self._writer = writer
        self._counter = counter
        self._lexer = Lexer()
        self._pending: list[str] = []
        self._n_pending = 0
        self._n_chars = 0  # of all pages so far, pending ones too
        self._ends_line = True
        self._is_blank = True
        self._to_index: list[str] = []
        self._n_to_index = 0  # bytes

    def add_page(self, page: Page) -> None:
        """Append a page; work is done as soon as there is a block of text."""
        if page.number is not None and not self._ends_line:
            self._append("\n")
        self._writer.structure.add(page, self._n_chars)
        self._append(page.text)

    def finish(self, details: str | None, *, may_be_blank: bool) -> ArtifactMeta:
        """Cut, count, index and write what is left."""
        self._cut_blocks(is_final=True)
        self._index()
        if self._is_blank and not may_be_blank:
            raise DocumentError(DocumentErrorKind.BLANK, NO_TEXT)
        return self._writer.finish(is_exact=self._counter.is_exact, is_blank=self._is_blank, details=details)

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
        base = self._writer.n_chars
        headings = self._writer.structure.headings_between(base, base + len(block))
        stops = list(cut_passages(block, headings=headings))
        if not is_last:
            stops = _up_to_stable_cut(block, stops)
        passages = [block[a:b] for a, b in pairwise((0, *stops))]
        encoded = [passage.encode() for passage in passages]
        for data in encoded:
            self._writer.write_text(data)
        n_tokens = self._counter.count_pieces(block[: stops[-1]], stops)
        self._writer.add_passages(stops, accumulate(map(len, encoded)), n_tokens)
        self._is_blank = self._is_blank and not block[: stops[-1]].strip(INVISIBLE)
        self._to_index += passages
        self._n_to_index += sum(map(len, encoded))
        if self._n_to_index >= SEGMENT_BYTES:
            self._index()
        return stops[-1]

    def _index(self) -> None:
        if self._to_index:
            first = self._writer.n_passages - len(self._to_index)
            self._writer.add_segment(build_segment(self._to_index, self._lexer, first_passage=first))
        self._to_index = []
        self._n_to_index = 0


def _up_to_stable_cut(block: str, stops: list[int]) -> list[int]:
    """Keep the passages up to the last cut that no token crosses, so that the counts of blocks add up."""
    for i in range(len(stops) - 1, len(stops) // 2, -1):
        if stops[i - 1] < len(block) and is_stable_cut(block, stops[i - 1]):
            return stops[:i]
    return stops  # the block itself ends at a stable place
