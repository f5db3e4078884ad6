"""The immutable stored form of a document: text, pages, outline, origin, passages and search segments in one file.

Owns the meaning of the sections (docs/artifact-format.md) and their reading; the file is mapped, nothing is copied
before it is asked for. Knows no storage, no workspace and no question. All positions are code points of the text.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from longscroll.documents.container import Container
from longscroll.documents.segment import TERMS_VERSION, Segment
from longscroll.errors import ArtifactError
from longscroll.parsing.base import PageQuality
from longscroll.types import Span

PAGE = np.dtype([("start", "<u4"), ("number", "<u4"), ("quality", "<u4")])  # number 0: the format has no pages
ORIGIN = np.dtype([("start", "<u4"), ("length", "<u4"), ("page", "<u4"), ("source", "<u4")])
QUALITIES: tuple[PageQuality, ...] = ("text", "ocr", "unreadable")


class OutlineEntry(Struct, frozen=True, array_like=True):
    """A heading: where its section begins. Level from 1."""

    level: int
    title: str
    offset: int


class OriginSpan(NamedTuple):
    """``length`` code points from ``start`` stand on ``page`` for as many source characters from ``source``."""

    start: int
    length: int
    page: int
    source: int


class ArtifactMeta(Struct, frozen=True, kw_only=True):
    """What is known of a document as a whole."""

    n_chars: int
    n_bytes: int
    n_tokens: int
    n_pages: int | None  # None: the format has no pages
    n_passages: int
    tokenizer: str  # "qwen", or "estimate" where counts are one
    terms: int  # version of the term rules its segments were built by
    sha256: str  # of the UTF-8 text
    segments: tuple[int, ...]  # the first passage of each segment
    details: str | None = None  # one sentence where something could not be read


class Artifact:
    """One stored document, open for reading. Safe to share between threads; cheap to open, nothing is read ahead.

    Every section but the text is checked against its checksum when it is first used; ``verify`` checks all of them.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._container = Container(buffer)
        try:
            self.meta = msgspec.json.decode(self._container.section("meta"), type=ArtifactMeta)
        except msgspec.DecodeError as error:
            raise ArtifactError(f"The stored document is damaged: its facts cannot be read ({error}).") from error
        self._text = self._container.unchecked("text")
        if len(self._text) != self.meta.n_bytes:
            raise ArtifactError("The stored document is damaged: its text is not as long as it says.")

    @classmethod
    def open(cls, path: str | Path) -> Artifact:
        """Map a stored document.

        Raises:
            ArtifactError: it is not one, or it is damaged.
            OSError: the file cannot be opened.
        """
        with Path(path).open("rb") as file:
            try:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise ArtifactError("The stored document is damaged: the file is empty.") from error
        return cls(memoryview(mapped))

    @classmethod
    def from_buffer(cls, buffer: bytes | bytearray | memoryview) -> Artifact:
        """Read a document that is held in memory."""
        return cls(memoryview(buffer))

    def close(self) -> None:
        """Let go of the file; it is unmapped as soon as no array or view of it is left."""
        self.__dict__.clear()

    def verify(self) -> None:
        """Check every byte.

        Raises:
            ArtifactError: a checksum is wrong.
        """
        self._container.verify()

    @property
    def n_passages(self) -> int:
        """The number of passages; they tile the text."""
        return self.meta.n_passages

    @cached_property
    def passage_starts(self) -> NDArray[np.uint32]:
        """Where each passage begins, and at the end the length of the text."""
        return self._array("passages.starts", np.dtype("<u4"), self.n_passages + 1)

    @cached_property
    def passage_n_tokens(self) -> NDArray[np.uint32]:
        """The tokens that begin in each passage; they add up to the whole."""
        return self._array("passages.tokens", np.dtype("<u4"), self.n_passages)

    @cached_property
    def segments(self) -> list[Segment]:
        """The search segments, in order of their passages."""
        if self.meta.terms != TERMS_VERSION:
            raise ArtifactError(
                f"The stored document was indexed by term rules {self.meta.terms}; this program has {TERMS_VERSION}."
            )
        bounds = [*self.meta.segments, self.n_passages]
        return [
            Segment.from_sections(self._container.section, f"segment.{i}", first, bounds[i + 1] - first)
            for i, first in enumerate(self.meta.segments)
        ]

    @cached_property
    def outline(self) -> list[OutlineEntry]:
        """The headings in order of their offsets."""
        if "outline" not in self._container:
            return []
        return msgspec.json.decode(self._container.section("outline"), type=list[OutlineEntry])

    @cached_property
    def unreadable_pages(self) -> tuple[int, ...]:
        """The numbers of the pages whose text could not be read."""
        pages = self._pages[self._pages["quality"] == QUALITIES.index("unreadable")]
        return tuple(int(number) for number in pages["number"] if number)

    def passage_span(self, i: int) -> Span:
        """Return the span of passage ``i``."""
        return int(self.passage_starts[i]), int(self.passage_starts[i + 1])

    def passage_text(self, i: int) -> str:
        """Return the text of passage ``i``."""
        return self._decode(int(self._passage_bytes[i]), int(self._passage_bytes[i + 1]))

    def passage_tokens(self, i: int) -> int:
        """Return the number of tokens of passage ``i``."""
        return int(self.passage_n_tokens[i])

    def passage_at(self, offset: int) -> int:
        """Return the passage in which a position stands; the last one for the end of the text."""
        return int(np.searchsorted(self.passage_starts[1:-1], offset, side="right"))

    def text(self, span: Span) -> str:
        """Return a stretch of the text, clipped to it; the cost is that of the passages it touches."""
        start, stop = max(0, span[0]), min(span[1], self.meta.n_chars)
        if start >= stop:
            return ""
        first, last = self.passage_at(start), self.passage_at(stop - 1)
        base = int(self.passage_starts[first])
        whole = self._decode(int(self._passage_bytes[first]), int(self._passage_bytes[last + 1]))
        return whole[start - base : stop - base]

    def iter_text(self, block_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the UTF-8 bytes of the whole text."""
        for start in range(0, len(self._text), block_bytes):
            yield bytes(self._text[start : start + block_bytes])

    def pages_of(self, span: Span) -> tuple[int, ...] | None:
        """Return the physical pages that a span touches; None where the format has none."""
        if self.meta.n_pages is None:
            return None
        starts = self._pages["start"]
        first = max(0, int(np.searchsorted(starts, span[0], side="right")) - 1)
        stop = max(first + 1, int(np.searchsorted(starts, span[1], side="left")))
        stops = np.append(starts[1:], self.meta.n_chars)
        touched = self._pages["number"][first:stop][(stops > starts)[first:stop]]
        return tuple(int(number) for number in touched if number)

    def page_label_of(self, offset: int) -> str | None:
        """Return the printed label of the page on which a position stands."""
        i = int(np.searchsorted(self._pages["start"], offset, side="right")) - 1
        return self._labels.get(i)

    def section_of(self, offset: int) -> str | None:
        """Return the title of the last heading at or before a position."""
        i = int(np.searchsorted(self._outline_offsets, offset, side="right")) - 1
        return self.outline[i].title if i >= 0 else None

    def breaks_in(self, span: Span) -> list[int]:
        """Return the positions inside a span at which a page or a section begins, ascending."""
        both = np.concatenate((self._pages["start"].astype(np.int64), self._outline_offsets))
        return np.unique(both[(both > span[0]) & (both < span[1])]).tolist()  # type: ignore[no-any-return]

    def origin_of(self, span: Span) -> list[OriginSpan]:
        """Return where a span came from: the runs that touch it, clipped to it."""
        if "origin" not in self._container:
            return []
        runs = self._array("origin", ORIGIN)
        starts = np.maximum(runs["start"], span[0]).astype(np.int64)
        stops = np.minimum(runs["start"].astype(np.int64) + runs["length"], span[1])
        return [
            OriginSpan(int(starts[i]), int(stops[i] - starts[i]), int(runs["page"][i]),
                       int(runs["source"][i] + starts[i] - runs["start"][i]))
            for i in np.flatnonzero(stops > starts)
        ]  # fmt: skip

    @cached_property
    def _passage_bytes(self) -> NDArray[np.uint64]:
        return self._array("passages.bytes", np.dtype("<u8"), self.n_passages + 1)

    @cached_property
    def _pages(self) -> NDArray[np.void]:
        return self._array("pages", PAGE)

    @cached_property
    def _labels(self) -> dict[int, str]:
        if "pages.labels" not in self._container:
            return {}
        return msgspec.json.decode(self._container.section("pages.labels"), type=dict[int, str])

    @cached_property
    def _outline_offsets(self) -> NDArray[np.int64]:
        return np.array([entry.offset for entry in self.outline], dtype=np.int64)

    def _array(self, name: str, dtype: np.dtype[Any], n: int | None = None) -> NDArray[Any]:
        data = self._container.section(name)
        if len(data) % dtype.itemsize or (n is not None and len(data) != n * dtype.itemsize):
            raise ArtifactError(f"The stored document is damaged: section {name} has {len(data)} bytes.")
        return np.frombuffer(data, dtype=dtype)

    def _decode(self, start: int, stop: int) -> str:
        try:
            return str(self._text[start:stop], "utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError("The stored document is damaged: its text is not UTF-8.") from error
