"""The immutable stored form of a document: text, pages, outline, origin, passages and search segments in one file.

Owns the meaning of the sections (docs/artifact-format.md) and their reading; the file is mapped, nothing is copied
before it is asked for. Knows no storage, no workspace and no question. All positions are code points of the text.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from longscroll.documents.container import Container
from longscroll.documents.passages import MAX_CHARS
from longscroll.documents.segment import TERMS_VERSION, Segment
from longscroll.errors import ArtifactError
from longscroll.parsing.base import PageQuality
from longscroll.types import Span

PAGE = np.dtype([("start", "<u4"), ("number", "<u4"), ("quality", "<u4")])  # number 0: the format has no pages
ORIGIN = np.dtype([("start", "<u4"), ("length", "<u4"), ("page", "<u4"), ("source", "<u4")])
MAX_PASSAGE_CHARS = 2 * MAX_CHARS  # with what a passage may take in beyond its target
MAX_PASSAGE_TOKENS = 12 * MAX_PASSAGE_CHARS  # one for each byte, of which NFC makes three at the most
_T = TypeVar("_T")
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
    is_blank: bool = False  # no visible text: only a part of a document may be


class Artifact:
    """One stored document, open for reading. Safe to share between threads; cheap to open, nothing is read ahead.

    Every section but the text is checked against its checksum when it is first used; ``verify`` checks all of them.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._container = Container(buffer)
        self.meta = self._json("meta", ArtifactMeta)
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
        """Check every byte, and that text, tables and segments fit each other, so that no reading of it can fail.

        About a CPU second for a gigabyte.

        Raises:
            ArtifactError: a checksum is wrong, or what is stored contradicts itself.
        """
        self._container.verify()
        for name, fits in self._claims():
            if not fits:
                raise ArtifactError(f"The stored document is damaged: {name} does not fit the rest of it.")

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
    def passage_bytes(self) -> NDArray[np.uint64]:
        """Where each passage begins in the UTF-8 bytes of the text, and at the end their number."""
        return self._array("passages.bytes", np.dtype("<u8"), self.n_passages + 1)

    @cached_property
    def pages(self) -> NDArray[np.void]:
        """The pages as PAGE; a text without pages as one or more that have the number 0."""
        return self._array("pages", PAGE)

    @cached_property
    def page_labels(self) -> dict[int, str]:
        """The printed labels by position in ``pages``."""
        return self._json("pages.labels", dict[int, str]) if "pages.labels" in self._container else {}

    @cached_property
    def outline(self) -> list[OutlineEntry]:
        """The headings in order of their offsets."""
        return self._json("outline", list[OutlineEntry]) if "outline" in self._container else []

    @cached_property
    def origin(self) -> NDArray[np.void]:
        """Where characters came from, as ORIGIN."""
        return self._array("origin", ORIGIN) if "origin" in self._container else np.zeros(0, ORIGIN)

    @cached_property
    def unreadable_pages(self) -> tuple[int, ...]:
        """The numbers of the pages whose text could not be read."""
        pages = self.pages[self.pages["quality"] == QUALITIES.index("unreadable")]
        return tuple(int(number) for number in pages["number"] if number)

    def passage_span(self, i: int) -> Span:
        """Return the span of passage ``i``."""
        return int(self.passage_starts[i]), int(self.passage_starts[i + 1])

    def passage_text(self, i: int) -> str:
        """Return the text of passage ``i``."""
        return self._decode(int(self.passage_bytes[i]), int(self.passage_bytes[i + 1]))

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
        whole = self._decode(int(self.passage_bytes[first]), int(self.passage_bytes[last + 1]))
        return whole[start - base : stop - base]

    def iter_text(self, block_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the UTF-8 bytes of the whole text."""
        for start in range(0, len(self._text), block_bytes):
            yield bytes(self._text[start : start + block_bytes])

    def pages_of(self, span: Span) -> tuple[int, ...] | None:
        """Return the physical pages that a span touches; None where the format has none."""
        if self.meta.n_pages is None:
            return None
        starts = self.pages["start"]
        first = max(0, int(np.searchsorted(starts, span[0], side="right")) - 1)
        stop = max(first + 1, int(np.searchsorted(starts, span[1], side="left")))
        stops = np.append(starts[1:], self.meta.n_chars)
        touched = self.pages["number"][first:stop][(stops > starts)[first:stop]]
        return tuple(int(number) for number in touched if number)

    def page_label_of(self, offset: int) -> str | None:
        """Return the printed label of the page on which a position stands."""
        i = int(np.searchsorted(self.pages["start"], offset, side="right")) - 1
        return self.page_labels.get(i)

    def section_of(self, offset: int) -> str | None:
        """Return the title of the last heading at or before a position."""
        i = int(np.searchsorted(self._outline_offsets, offset, side="right")) - 1
        return self.outline[i].title if i >= 0 else None

    def breaks_in(self, span: Span) -> list[int]:
        """Return the positions inside a span at which a page or a section begins, ascending."""
        both = np.concatenate((self.pages["start"].astype(np.int64), self._outline_offsets))
        return np.unique(both[(both > span[0]) & (both < span[1])]).tolist()  # type: ignore[no-any-return]

    def origin_of(self, span: Span) -> list[OriginSpan]:
        """Return where a span came from: the runs that touch it, clipped to it."""
        runs = self.origin
        starts = np.maximum(runs["start"], span[0]).astype(np.int64)
        stops = np.minimum(runs["start"].astype(np.int64) + runs["length"], span[1])
        return [
            OriginSpan(int(starts[i]), int(stops[i] - starts[i]), int(runs["page"][i]),
                       int(runs["source"][i] + starts[i] - runs["start"][i]))
            for i in np.flatnonzero(stops > starts)
        ]  # fmt: skip

    @cached_property
    def _outline_offsets(self) -> NDArray[np.int64]:
        return np.array([entry.offset for entry in self.outline], dtype=np.int64)

    def _array(self, name: str, dtype: np.dtype[Any], n: int | None = None) -> NDArray[Any]:
        data = self._container.section(name)
        if len(data) % dtype.itemsize or (n is not None and len(data) != n * dtype.itemsize):
            raise ArtifactError(f"The stored document is damaged: section {name} has {len(data)} bytes.")
        return np.frombuffer(data, dtype=dtype)

    def _json(self, name: str, type_: type[_T]) -> _T:
        try:
            return msgspec.json.decode(self._container.section(name), type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ArtifactError(f"The stored document is damaged: {name} cannot be read ({error}).") from error

    def _claims(self) -> Iterator[tuple[str, bool]]:
        """Yield what must be true of a sound document, by the name of the section that says it."""
        n_chars = self.meta.n_chars
        yield "passages.starts", _tiles(self.passage_starts, n_chars, longest=MAX_PASSAGE_CHARS)
        yield "passages.bytes", _tiles(self.passage_bytes, self.meta.n_bytes, longest=4 * MAX_PASSAGE_CHARS)
        yield "passages.tokens", bool((self.passage_n_tokens <= MAX_PASSAGE_TOKENS).all())
        yield "passages.tokens", int(self.passage_n_tokens.sum(dtype=np.uint64)) == self.meta.n_tokens
        yield "text", all(len(self.passage_text(i)) == n for i, n in enumerate(np.diff(self.passage_starts).tolist()))
        starts = self.pages["start"]
        yield "pages", bool((starts[1:] >= starts[:-1]).all() and (starts <= n_chars).all())
        yield "pages", bool((self.pages["quality"] < len(QUALITIES)).all())
        yield "pages", (int(np.count_nonzero(self.pages["number"])) or None) == self.meta.n_pages
        yield "pages.labels", all(0 <= i < len(self.pages) for i in self.page_labels)
        yield "outline", all(0 <= entry.offset <= n_chars for entry in self.outline)
        yield "origin", bool((self.origin["start"].astype(np.int64) + self.origin["length"] <= n_chars).all())
        firsts = self.meta.segments
        yield "meta", (not self.n_passages and not firsts) or (firsts[:1] == (0,) and firsts[-1] < self.n_passages)
        yield "segments", all(map(_is_sound, self.segments))

    def _decode(self, start: int, stop: int) -> str:
        try:
            return str(self._text[start:stop], "utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError("The stored document is damaged: its text is not UTF-8.") from error


def _tiles(stops: NDArray[Any], length: int, *, longest: int) -> bool:
    if not (stops[0] == 0 and stops[-1] == length and (stops[1:] > stops[:-1]).all()):
        return False
    return bool((np.diff(stops) <= longest).all())


def _is_sound(segment: Segment) -> bool:
    keys, indptr, docs, lengths = segment.keys, segment.indptr, segment.docs, segment.lengths
    return bool(
        indptr[0] == 0
        and indptr[-1] == len(docs)
        and (indptr[1:] >= indptr[:-1]).all()
        and (keys[1:] > keys[:-1]).all()
        and docs.max(initial=0) < max(1, len(lengths))
    )
