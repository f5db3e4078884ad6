"""What the children of one file are told and believed; they say what a test has them say, and parse nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from factories.parsing import Upload
from longscroll.documents.assembly import Assembly, Job, ParserOptions
from longscroll.documents.children import Children
from longscroll.documents.messages import ChildTask, MergeTask, ParseDone, ParseOpened, ParsePart, ParseRange
from longscroll.documents.split import FIRST_PAGES
from longscroll.documents.zygote import Child
from longscroll.errors import DocumentError, DocumentErrorKind

N_PAGES = 3 * FIRST_PAGES
"""They are parsed in three ranges of one length."""
PART_BYTES = 1000
MERGED = ParseDone(task=1, n_pages=N_PAGES, n_chars=1, n_tokens=1)


class ScriptedChild(Child):
    """Says of every range at once that it is parsed."""

    def __init__(self, stream: socket.socket) -> None:
        super().__init__(1, stream)
        self.ranges: list[ParseRange] = []

    def send(self, message: ParseRange) -> None:
        self.ranges.append(message)
        n_done = message.stop - message.start
        self.put(ParsePart(task=1, offset=0, size=PART_BYTES, n_done=n_done, is_last=True))


class ScriptedChildren(Children):
    """Children of a document that has, as each of them says, so many pages; merges are done at once."""

    def __init__(self, *n_pages: int, are_wanted: bool = False) -> None:
        super().__init__(n_slots=1, stall_s=15)
        self.parsing: list[ScriptedChild] = []
        self._n_pages = n_pages
        self._are_wanted = are_wanted

    @property
    def are_wanted(self) -> bool:
        return self._are_wanted

    @asynccontextmanager
    async def running(self, task: ChildTask, *, reads: Sequence[Path], writes: Path) -> AsyncIterator[Child]:
        writes.touch()
        with socket.socket() as stream:
            child = ScriptedChild(stream)
            if isinstance(task, MergeTask):
                child.put(MERGED)
            else:
                n_pages = self._n_pages[len(self.parsing) % len(self._n_pages)]
                child.put(ParseOpened(task=1, n_pages=n_pages))
                self.parsing.append(child)
            yield child


async def assemble(folder: Path, children: Children, **options: Any) -> ParseDone:
    """Parse a document in parts, by one child after the other."""
    upload = Upload(folder, b"a long document", "book.pdf")
    job = Job(file=upload.file, artifact=upload.artifact, filename="book.pdf", size_bytes=0, listener=upload)
    parser_options = ParserOptions(part_pages=FIRST_PAGES, **options)
    return await Assembly(children, parser_options, job, spare=asyncio.Semaphore(0)).run(n_children=1)


async def test_each_range_has_its_share_of_the_time_and_that_of_one_page_that_hardly_goes_on(tmp_path: Path) -> None:
    children = ScriptedChildren(N_PAGES)
    assert await assemble(tmp_path, children, cpu_s=60, stall_s=15.0) == MERGED
    [child] = children.parsing
    assert [each.cpu_s for each in child.ranges] == [15 + 60 // 3] * 3


@pytest.mark.parametrize(("are_wanted", "n_ranges"), [(False, [3]), (True, [1, 1, 1])])
async def test_a_child_parses_range_after_range_unless_another_file_waits(
    tmp_path: Path, are_wanted: bool, n_ranges: list[int]
) -> None:
    children = ScriptedChildren(N_PAGES, are_wanted=are_wanted)
    assert await assemble(tmp_path, children) == MERGED
    assert [len(child.ranges) for child in children.parsing] == n_ranges


async def test_parts_that_are_small_enough_one_by_one_may_be_too_large_together(tmp_path: Path) -> None:
    children = ScriptedChildren(N_PAGES)
    with pytest.raises(DocumentError) as caught:
        await assemble(tmp_path, children, max_artifact_bytes=2 * PART_BYTES)
    assert (caught.value.kind, len(children.parsing[0].ranges)) == (DocumentErrorKind.TOO_LARGE, 3)


async def test_a_child_that_tells_of_other_pages_than_the_one_before_is_not_believed(tmp_path: Path) -> None:
    children = ScriptedChildren(N_PAGES, N_PAGES + 1, are_wanted=True)
    with pytest.raises(DocumentError, match="made its parser fail") as caught:
        await assemble(tmp_path, children)
    assert (caught.value.kind, len(children.parsing)) == (DocumentErrorKind.CORRUPT, 2)
