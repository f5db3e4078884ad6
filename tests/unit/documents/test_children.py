"""The deadline of a child is the child's: a service that stood still itself gives it anew."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest

from factories.parsing import Upload
from longscroll.documents.children import STOOD_STILL_S, Children
from longscroll.documents.messages import ParseProgress
from longscroll.documents.parsers import Parsers
from longscroll.documents.zygote import Child, NoZygote
from longscroll.errors import DocumentError
from simulation.loop import SimulatedLoop

STALL_S = 0.1
PROGRESS = ParseProgress(task=1, n_done=1, n_total=2, unit="pages")


@pytest.fixture
def child() -> Iterator[Child]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Child(1, ours)


async def test_a_child_that_says_nothing_is_given_up(child: Child) -> None:
    with pytest.raises(DocumentError, match="made no progress for 0 seconds"):
        await Children(n_slots=1, stall_s=STALL_S).reply(child)


async def test_a_child_is_not_given_up_because_the_service_was_paused(child: Child) -> None:
    waiting = asyncio.create_task(Children(n_slots=1, stall_s=STALL_S).reply(child))
    await asyncio.sleep(0)
    time.sleep(STALL_S + STOOD_STILL_S + 0.1)
    asyncio.get_running_loop().call_later(STALL_S / 2, child.put, PROGRESS)
    assert await waiting == PROGRESS


async def test_who_comes_before_the_first_zygote_waits_for_it(tmp_path: Path) -> None:
    parsers = Parsers(n_children=1)
    parsing = asyncio.create_task(Upload(tmp_path, b"a small file\n").parse(parsers))
    await asyncio.sleep(0.05)
    await parsers.start()
    try:
        assert (await parsing).n_chars == len("a small file\n")
    finally:
        await parsers.stop()


class LoopWithoutProcesses(SimulatedLoop):
    """Starts no process, and notes when one was asked for."""

    def __init__(self, *, n_times: int) -> None:
        super().__init__(Random(1), limit_s=1000)
        self.times: list[float] = []
        self.is_enough = asyncio.Event()
        self._n_times = n_times

    async def subprocess_exec(self, *args: Any, **named: Any) -> NoReturn:
        self.times.append(self.time())
        if len(self.times) == self._n_times:
            self.is_enough.set()
        raise OSError("no process can be started")


def test_a_zygote_that_cannot_be_started_is_tried_again_later_and_later() -> None:
    loop = LoopWithoutProcesses(n_times=9)

    async def life() -> None:
        children = Children(n_slots=1, stall_s=STALL_S)
        with pytest.raises(NoZygote):
            await children.start()
        await loop.is_enough.wait()
        await children.stop()

    loop.run_until_complete(life())
    loop.end()
    assert loop.times == [0, 0, 1, 3, 7, 15, 31, 61, 91]
