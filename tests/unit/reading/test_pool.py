from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from longscroll.engines.base import Evidence, Prompt
from longscroll.errors import (
    DocumentError,
    EngineFailed,
    EngineTimeout,
    FileGone,
    ModelUnavailable,
    Overloaded,
    StartupError,
)
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import ReadTask, Source
from longscroll.reading.pool import COMMAND, PoolOptions, Readers
from longscroll.reading.turns import in_background

PROMPT = Prompt(model="m", question="?", language="en", evidence=Evidence(plan="none", plan_reason=""), messages=())
LONG = "".join(f"Sentence {i} of a long story. " for i in range(150_000))  # takes a second to index


@asynccontextmanager
async def pool(command: tuple[str, ...] = COMMAND, **options: float) -> AsyncIterator[Readers]:
    readers = Readers(PoolOptions(**options), ReadingOptions(), command=command)  # type: ignore[arg-type]
    await readers.start()
    try:
        yield readers
    finally:
        await readers.stop()


def task(inline: str | None = None, artifact: str | None = None) -> ReadTask:
    source = Source(document=0, workspace="ws", file_id="file-fe-1", inline=inline, artifact=artifact)
    return ReadTask(task=0, question="What story?", sources=(source,), context_window=None)


def reader_processes() -> list[psutil.Process]:
    found = psutil.Process().children()  # its own: a service that another test keeps running has readers too
    return [p for p in found if p.status() != psutil.STATUS_ZOMBIE and "longscroll.reading.process" in p.cmdline()]


async def in_the_background(work: Awaitable[object]) -> None:
    with in_background():
        await work


async def gone(process: psutil.Process) -> None:
    async with asyncio.timeout(5):
        while process.is_running():
            await asyncio.sleep(0.01)


async def test_a_question_is_read_and_an_answer_composed_in_another_process() -> None:
    async with pool() as readers:
        read = await readers.read(task("A short story about a pump."))
        assert [passage.text for passage in read.evidence.passages] == ["A short story about a pump."]
        assert len((await readers.compose(PROMPT)).parts) == 1


async def test_what_is_wrong_with_a_document_keeps_its_class() -> None:
    async with pool() as readers:
        with pytest.raises(FileGone, match="file-fe-1"):
            await readers.read(task(artifact="/nowhere/at/all"))
        with pytest.raises(DocumentError, match="no text found"):
            await readers.read(task(" "))


@pytest.mark.parametrize("pause_s", [0.0, 0.5])
async def test_an_idle_reader_that_was_killed_costs_no_question(pause_s: float) -> None:
    async with pool() as readers:
        await readers.compose(PROMPT)
        [process] = reader_processes()
        os.kill(process.pid, signal.SIGKILL)
        await asyncio.sleep(pause_s)
        assert len((await readers.compose(PROMPT)).parts) == 1
        assert [other.pid for other in reader_processes()] != [process.pid]


async def test_an_idle_reader_that_was_killed_is_replaced_before_anyone_asks() -> None:
    async with pool(n_readers=2) as readers:
        await readers.compose(PROMPT)
        before = {process.pid for process in reader_processes()}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            while len({process.pid for process in reader_processes()} - before) < 2:
                await asyncio.sleep(0.01)
        assert readers.is_healthy


async def test_a_task_that_kills_two_readers_is_given_up(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    program = (
        "import sys\n"
        "sys.stdout.buffer.write(bytes(4)); sys.stdout.flush()  # ready\n"
        f"if sys.stdin.buffer.read(1): open({str(tasks)!r}, 'a').write('died over a task. ')\n"
    )
    async with pool((sys.executable, "-c", program)) as readers:
        with pytest.raises(EngineFailed):
            await readers.compose(PROMPT)
        assert readers.is_healthy
    assert tasks.read_text() == "died over a task. " * 2


async def test_a_pool_whose_readers_die_at_start_says_so_and_refuses_at_once() -> None:
    async with pool((sys.executable, "-c", "raise SystemExit(3)"), n_readers=2) as readers:
        waiting = asyncio.create_task(readers.compose(PROMPT))
        with pytest.raises(StartupError, match="end before they are ready"):
            await readers.wait_until_ready()
        assert not readers.is_healthy
        with pytest.raises(ModelUnavailable):
            await waiting
        with pytest.raises(ModelUnavailable):
            await readers.compose(PROMPT)


async def test_a_command_that_is_not_there_fails_the_start_too() -> None:
    async with pool(("/nowhere/at/all",)) as readers:
        with pytest.raises(StartupError):
            await readers.wait_until_ready()


async def test_readers_that_died_at_start_are_tried_later_and_later_until_they_live(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    program = (
        "import os, sys, time\n"
        f"tries = open({str(tries)!r}, 'a+'); tries.write(f'{{time.monotonic()}}\\n'); tries.flush(); tries.seek(0)\n"
        "if len(tries.readlines()) < 5: sys.exit(3)\n"
        f"os.execv({sys.executable!r}, {COMMAND!r} + (sys.argv[1],))\n"
    )
    async with pool((sys.executable, "-c", program), restart_pause_s=0.1) as readers:
        with pytest.raises(StartupError):
            await readers.wait_until_ready()
        async with asyncio.timeout(20):
            while not readers.is_healthy:
                await asyncio.sleep(0.02)
        assert len((await readers.compose(PROMPT)).parts) == 1
    times = [float(line) for line in tries.read_text().splitlines()]
    assert [times[i + 1] - times[i] >= pause_s for i, pause_s in enumerate((0.0, 0.1, 0.2, 0.4))] == [True] * 4


async def test_a_caller_who_leaves_frees_the_reader_within_a_moment() -> None:
    async with pool(grace_s=0.05) as readers:
        await readers.compose(PROMPT)
        [busy] = reader_processes()
        asking = asyncio.create_task(readers.read(task(LONG)))
        await asyncio.sleep(0.2)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await gone(busy)
        assert len((await readers.compose(PROMPT)).parts) == 1


async def test_a_task_that_takes_too_long_is_ended() -> None:
    async with pool(timeout_s=0.3) as readers:
        await readers.wait_until_ready()
        with pytest.raises(EngineTimeout):
            await readers.read(task(LONG))


async def test_a_full_queue_refuses_at_once() -> None:
    async with pool(max_waiting=1) as readers:
        await readers.wait_until_ready()
        asking = [asyncio.create_task(readers.read(task(LONG))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await readers.compose(PROMPT)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_no_process_is_left_after_stop() -> None:
    async with pool(n_readers=2) as readers:
        await readers.wait_until_ready()
        assert len(reader_processes()) == 2
    assert reader_processes() == []


async def test_a_stop_in_the_middle_of_the_start_leaves_no_process_either() -> None:
    async with pool(n_readers=2):
        await asyncio.sleep(0)
    for process in reader_processes():
        await gone(process)


async def test_who_waits_for_a_reader_is_refused_when_the_pool_stops() -> None:
    async with pool() as readers:
        waiting = asyncio.create_task(readers.compose(PROMPT))
        await asyncio.sleep(0)
    with pytest.raises(ModelUnavailable):
        await waiting


async def test_what_can_wait_is_read_when_nobody_else_waits() -> None:
    async with pool() as readers:
        ended: list[str] = []

        async def read(name: str) -> None:
            await readers.read(task("A short story about a pump."))
            ended.append(name)

        first = asyncio.create_task(read("first"))
        await asyncio.sleep(0)
        patient = asyncio.create_task(in_the_background(read("patient")))
        await asyncio.sleep(0)
        others = [asyncio.create_task(read("other")) for _ in range(2)]
        await asyncio.gather(first, patient, *others)
    assert ended == ["first", "other", "other", "patient"]


async def test_what_can_wait_is_refused_too_when_the_pool_stops() -> None:
    async with pool() as readers:
        busy = asyncio.create_task(readers.read(task(LONG)))
        await asyncio.sleep(0)
        patient = asyncio.create_task(in_the_background(readers.read(task("A story."))))
        await asyncio.sleep(0.01)
    with pytest.raises(ModelUnavailable):
        await patient
    busy.cancel()
    await asyncio.wait([busy])
