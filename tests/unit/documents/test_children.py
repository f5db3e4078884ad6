"""The deadline of a child is the child's: a service that stood still itself gives it anew."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories.parsing import Upload
from longscroll.documents.children import STOOD_STILL_S, Children
from longscroll.documents.messages import ParseProgress
from longscroll.documents.parsers import Parsers
from longscroll.documents.zygote import Child
from longscroll.errors import DocumentError

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
