"""The parts of one document: which there are to be, which are done, and how far all of them are together.

Pure state; knows no process. Whoever parses a part says here what became of it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from pathlib import Path

from msgspec import Struct

from longscroll.documents.messages import ParsePart, ParseProgress
from longscroll.documents.split import page_ranges


class Part(Struct, frozen=True):
    """A finished part: its container's place in a file, and how many pages or bytes of the document end with it."""

    path: Path
    offset: int
    size: int
    n_done: int


class Beginning(Struct, frozen=True):
    """The parts that are done without a gap from the beginning."""

    parts: list[Part]
    n_done: int  # pages or bytes


class _Stretch(Struct):
    """What is parsed in one go: a range of pages, or the whole file. In it lie one part or more."""

    pages: range | None
    parts: list[Part]
    n_done: int = 0
    is_done: bool = False


class Parts:
    """A document begins as one stretch, the whole file; ``split`` makes ranges of it when it turns out to be long."""

    def __init__(self) -> None:
        self._stretches = [_Stretch(None, [])]
        self._todo = [0]  # a heap: what was given back comes first again

    @property
    def is_split(self) -> bool:
        """Whether the document is parsed in ranges of pages."""
        return self._stretches[0].pages is not None

    @property
    def n_pages(self) -> int:
        """The pages of a document that is split."""
        return sum(len(stretch.pages or ()) for stretch in self._stretches)

    @property
    def n_bytes(self) -> int:
        """The bytes of all finished parts."""
        return sum(part.size for stretch in self._stretches for part in stretch.parts)

    @property
    def are_done(self) -> bool:
        """Whether every stretch is done."""
        return all(stretch.is_done for stretch in self._stretches)

    def split(self, n_pages: int, *, part_pages: int) -> None:
        """Make ranges of the pages; the first is in the hand of who asks."""
        self._stretches = [_Stretch(pages, []) for pages in page_ranges(n_pages, part_pages=part_pages)]
        self._todo = list(range(1, len(self._stretches)))

    def take(self) -> int | None:
        """Take the first stretch that nobody has; None when there is none."""
        if not self._todo:
            return None
        stretch = heappop(self._todo)
        self._stretches[stretch] = _Stretch(self._stretches[stretch].pages, [])
        return stretch

    def give_back(self, stretch: int) -> None:
        """Put a stretch back that is not done."""
        heappush(self._todo, stretch)

    def pages(self, stretch: int) -> range:
        """Return the pages of a stretch of a document that is split."""
        return self._stretches[stretch].pages or range(0)

    def add(self, stretch: int, path: Path, part: ParsePart) -> None:
        """Note that a part is done."""
        at = self._stretches[stretch]
        at.parts.append(Part(path, part.offset, part.size, (at.pages.start if at.pages else 0) + part.n_done))
        if part.is_last:
            at.is_done = True
            at.n_done = part.n_done

    def progress(self, stretch: int, progress: ParseProgress) -> ParseProgress:
        """Note how far a stretch is; return how far the document is."""
        self._stretches[stretch].n_done = progress.n_done
        if not self.is_split:
            return progress
        n_done = sum(min(at.n_done, len(at.pages or ())) for at in self._stretches)
        return ParseProgress(task=progress.task, n_done=n_done, n_total=self.n_pages, unit="pages")

    def beginning(self) -> Beginning:
        """Return the parts that are done without a gap from the beginning."""
        found: list[Part] = []
        for stretch in self._stretches:
            found += stretch.parts
            if not stretch.is_done:
                break
        return Beginning(found, found[-1].n_done if found else 0)
