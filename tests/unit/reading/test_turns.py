from __future__ import annotations

import asyncio

from longscroll.reading.turns import COURTESY_S, WaitingLine, in_background


async def test_those_that_can_wait_come_after_those_that_somebody_waits_for() -> None:
    line: WaitingLine[str] = WaitingLine()
    with in_background():
        patient = [line.join(), line.join()]
    prompt = [line.join(), line.join()]
    assert len(line) == 4
    assert [line.next() for _ in range(5)] == [*prompt, *patient, None]


async def test_a_task_that_is_begun_in_the_background_can_wait() -> None:
    line: WaitingLine[str] = WaitingLine()

    async def join() -> asyncio.Future[str]:
        return line.join()

    with in_background():
        task = asyncio.create_task(join())
    prompt = line.join()
    patient = await task
    assert [line.next(), line.next()] == [prompt, patient]


async def test_after_a_turn_of_those_that_go_first_the_others_wait_a_moment_longer() -> None:
    now = 100.0
    line: WaitingLine[str] = WaitingLine(clock=lambda: now)
    with in_background():
        patient = line.join()
        line.used()
        assert (line.courtesy_s, line.is_open) == (0.0, False)
    line.used()
    assert (line.next(), line.is_open) == (None, True)
    now += COURTESY_S
    assert line.next() is patient


async def test_what_is_free_is_not_for_those_that_can_wait_when_it_was_just_used() -> None:
    line: WaitingLine[str] = WaitingLine(clock=lambda: 100.0)
    with in_background():
        assert line.is_open
    line.used()
    with in_background():
        assert not line.is_open


async def test_everybody_can_be_sent_away() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.used()
    with in_background():
        patient = line.join()
    prompt = line.join()
    assert ([*line.everybody()], len(line)) == ([prompt, patient], 0)


async def test_who_has_left_is_passed_over() -> None:
    line: WaitingLine[str] = WaitingLine()
    gone, given_up, there = line.join(), line.join(), line.join()
    line.leave(gone)
    given_up.cancel()
    assert [line.next(), line.next(), len(line)] == [there, None, 0]


async def test_whose_turn_it_was_can_leave() -> None:
    line: WaitingLine[str] = WaitingLine()
    turn = line.join()
    assert line.next() is turn
    line.leave(turn)
    assert len(line) == 0
