"""A file for the pool of parsers, what it is told of it, and the processes behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from longscroll.documents.messages import ParseDone, ParseProgress, ParseTask
from longscroll.documents.parsers import ParserOptions, Parsers
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.types import Readable


class Upload:
    """A file to parse and the place of its artifact."""

    def __init__(self, folder: Path, content: bytes, filename: str = "a.txt") -> None:
        self.file = folder / "bytes"
        self.file.write_bytes(content)
        self.artifact = folder / "artifact"
        self.filename = filename
        self.progress: list[ParseProgress] = []
        self.previews: list[tuple[Path, Readable]] = []

    async def parse(self, parsers: Parsers) -> ParseDone:
        return await parsers.parse(self.file, self.artifact, filename=self.filename, listener=self)

    def progressed(self, progress: ParseProgress) -> None:
        self.progress.append(progress)

    async def readable(self, preview: Path, readable: Readable) -> None:
        self.previews.append((preview, readable))

    async def until_progress(self) -> None:
        self.progress.clear()
        async with asyncio.timeout(10):
            while not self.progress:
                await asyncio.sleep(0.005)

    async def fails(self, parsers: Parsers) -> tuple[DocumentErrorKind, str]:
        with pytest.raises(DocumentError) as caught:
            await self.parse(parsers)
        return caught.value.kind, str(caught.value)


def zygote(parsers: Parsers) -> psutil.Process:
    assert parsers.zygote_pid is not None
    return psutil.Process(parsers.zygote_pid)


async def until_no_child(parsers: Parsers) -> None:
    async with asyncio.timeout(5):
        while zygote(parsers).children():
            await asyncio.sleep(0.01)


def limits() -> dict[str, int]:
    """Return what a child may use when nobody says otherwise."""
    options = ParserOptions()
    return {
        "memory_bytes": options.memory_bytes,
        "artifact_bytes": options.max_artifact_bytes,
        "cpu_s": options.cpu_s,
    }


def parse_task(filename: str, *, task: int = 0, part_pages: int = ParserOptions().part_pages) -> ParseTask:
    """Return the order to parse a file."""
    return ParseTask(
        task=task, filename=filename, max_pages=ParserOptions().max_pages, part_pages=part_pages, **limits()
    )
