"""When there is a preview, and that nobody waits for one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longscroll.documents.messages import ParseDone
from longscroll.documents.parts import Beginning, Part
from longscroll.documents.previews import Previews
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.types import Readable

PATH = Path("preview")


class Merges:
    """Merges that end when the gate is open, and a listener."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.taking = asyncio.Event()
        self.taking.set()
        self.error: Exception | None = None
        self.given: list[Readable] = []
        self.previews = Previews(self.merge, self.give, lambda: PATH)

    async def merge(self, beginning: Beginning, path: Path) -> ParseDone:
        await self.gate.wait()
        if beginning.n_done == 13:
            raise DocumentError(DocumentErrorKind.BLANK, "no text found")
        return ParseDone(task=1, n_pages=None, n_chars=1, n_tokens=beginning.n_done // 2)

    async def give(self, path: Path, readable: Readable) -> None:
        await self.taking.wait()
        if self.error is not None:
            raise self.error
        self.given.append(readable)

    async def consider(self, *beginnings: int) -> None:
        for n_done in beginnings:
            self.previews.consider(Beginning([Part(PATH, 0, 1, n_done)], n_done))
            await asyncio.sleep(0.001)


async def test_there_is_one_at_once_and_then_whenever_the_beginning_has_doubled() -> None:
    merges = Merges()
    await merges.consider(40, 60, 80, 100, 159, 170)
    assert merges.given == [Readable(n_done=n, n_tokens=n // 2) for n in (40, 80, 170)]


async def test_there_is_none_of_nothing() -> None:
    merges = Merges()
    merges.previews.consider(Beginning([], 0))
    await merges.previews.stop()
    assert merges.given == []


async def test_a_beginning_without_text_is_passed_over() -> None:
    merges = Merges()
    await merges.consider(13, 20, 26)
    merges.previews.check()
    assert merges.given == [Readable(n_done=26, n_tokens=13)]


async def test_one_that_is_still_being_made_is_dropped_at_the_end() -> None:
    merges = Merges()
    merges.gate.clear()
    await merges.consider(40)
    await merges.previews.stop()
    merges.previews.check()
    assert merges.given == []


async def test_one_that_is_being_given_is_given_to_the_end() -> None:
    merges = Merges()
    merges.taking.clear()
    await merges.consider(40)
    stopping = asyncio.create_task(merges.previews.stop())
    await asyncio.sleep(0.001)
    assert not stopping.done()
    merges.taking.set()
    await stopping
    assert merges.given == [Readable(n_done=40, n_tokens=20)]


async def test_what_the_listener_raises_is_not_lost() -> None:
    merges = Merges()
    merges.error = OSError("gone")
    await merges.consider(40)
    await merges.previews.stop()
    with pytest.raises(OSError, match="gone"):
        merges.previews.check()
