"""Write the sections of an artifact, in one pass: the text as it comes, then what was noted of it meanwhile.

Owns which sections an artifact has and how they are laid out (docs/artifact-format.md), as artifact.py owns how they
are read. Knows not where a document comes from: build.py cuts it from pages, merge.py takes it from parts.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from longscroll.documents.artifact import ORIGIN, PAGE, QUALITIES, Artifact, ArtifactMeta, OutlineEntry
from longscroll.documents.container import ContainerWriter
from longscroll.documents.segment import TERMS_VERSION, Segment
from longscroll.parsing.base import Page

MAX_NAMED = 10  # unreadable pages in one sentence


class Structure:
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
        self._add_headings(OutlineEntry(one.level, one.title, start + one.offset) for one in page.headings)
        if page.origin:
            runs = [(start + run.offset, run.length, number, run.source) for run in page.origin]
            self._origin.append(np.array(runs, dtype=ORIGIN))

    def add_part(self, part: Artifact, start: int) -> None:
        """Note all that a part knows of its places; its text begins at ``start``."""
        self._labels |= {len(self._pages) + i: label for i, label in part.page_labels.items()}
        self._pages += [(start + begin, number, quality) for begin, number, quality in part.pages.tolist()]
        self._add_headings(OutlineEntry(entry.level, entry.title, start + entry.offset) for entry in part.outline)
        if len(part.origin):
            origin = part.origin.copy()
            origin["start"] += start
            self._origin.append(origin)

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

    def _add_headings(self, entries: Iterable[OutlineEntry]) -> None:
        for entry in entries:
            self._outline.append(entry)
            self._offsets.append(entry.offset)


class ArtifactWriter:
    """Takes a document from its beginning to its end, and writes its artifact."""

    def __init__(self, out: BinaryIO) -> None:
        self.structure = Structure()
        self._container = ContainerWriter(out)
        self._text = self._container.section("text")
        self._hash = hashlib.sha256()
        self._starts = array("I", [0])  # of passages; the last is where the next one begins
        self._bytes = array("Q", [0])
        self._n_tokens = array("I")
        self._segments: list[Segment] = []

    @property
    def n_chars(self) -> int:
        """The code points of the passages so far: fewer than 2^32, which no upload is long enough to pass."""
        return self._starts[-1]

    @property
    def n_passages(self) -> int:
        """The passages so far."""
        return len(self._n_tokens)

    def write_text(self, data: bytes) -> None:
        """Append UTF-8 text, which passages then cover."""
        self._text.write(data)
        self._hash.update(data)

    def add_passages(self, stops: Iterable[int], byte_stops: Iterable[int], n_tokens: Iterable[int]) -> None:
        """Note the next passages: their ends, counted from the end of those before in code points and in bytes."""
        n_chars, n_bytes = self._starts[-1], self._bytes[-1]
        self._starts.extend(n_chars + stop for stop in stops)
        self._bytes.extend(n_bytes + stop for stop in byte_stops)
        self._n_tokens.extend(n_tokens)

    def end_line(self, *, n_tokens: int) -> None:
        """Write a line end that belongs to the last passage."""
        self.write_text(b"\n")
        self._starts[-1] += 1
        self._bytes[-1] += 1
        self._n_tokens[-1] += n_tokens

    def add_segment(self, segment: Segment) -> None:
        """Note the next search segment; its arrays are held until the end."""
        self._segments.append(segment)

    def finish(self, *, is_exact: bool, is_blank: bool, details: str | None) -> ArtifactMeta:
        """Write all that is not text; without ``details``, unreadable pages are named."""
        self._text.close()
        meta = ArtifactMeta(
            n_chars=self._starts[-1],
            n_bytes=self._bytes[-1],
            n_tokens=sum(self._n_tokens),
            n_pages=self.structure.n_pages,
            n_passages=len(self._n_tokens),
            tokenizer="qwen" if is_exact else "estimate",
            terms=TERMS_VERSION,
            sha256=self._hash.hexdigest(),
            segments=tuple(segment.first_passage for segment in self._segments),
            details=details or self.structure.unreadable_details(),
            is_blank=is_blank,
        )
        self._container.add("meta", msgspec.json.encode(meta))
        for name, data in self._sections():
            self._container.add(name, data)
        self._container.finish()
        return meta

    def _sections(self) -> Iterator[tuple[str, bytes]]:
        yield from self.structure.sections()
        yield "passages.starts", np.array(self._starts, dtype="<u4").tobytes()
        yield "passages.bytes", np.array(self._bytes, dtype="<u8").tobytes()
        yield "passages.tokens", np.array(self._n_tokens, dtype="<u4").tobytes()
        for i, segment in enumerate(self._segments):
            yield from segment.to_sections(f"segment.{i}")
