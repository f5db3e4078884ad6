from __future__ import annotations

import asyncio

from longscroll.reading.turns import WaitingLine
from longscroll.services.batches.base import LineReply
from longscroll.services.batches.run import Turns


async def test_a_line_waits_for_a_reader_behind_live_questions_that_came_later() -> None:
    waiting: WaitingLine[None] = WaitingLine()
    joined: list[asyncio.Future[None]] = []

    async def wait_for_a_reader() -> LineReply:
        joined.append(waiting.join())
        return LineReply(status=200, record=b"")

    await Turns(1).take(wait_for_a_reader)
    live = waiting.join()
    assert [waiting.next(), waiting.next()] == [live, *joined]
