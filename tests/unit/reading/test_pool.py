from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from longscroll.engines.base import Evidence, Prompt
from longscroll.errors import DocumentError, EngineFailed, EngineTimeout, FileGone, Overloaded
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import ReadTask, Source
from longscroll.reading.pool import PoolOptions, Readers

PROMPT = Prompt(model="m", question="?", language="en", evidence=Evidence(plan="none", plan_reason=""), messages=())
LONG = "".join(f"Sentence {i} of a long story. " for i in range(150_000))  # takes a second to index


@asynccontextmanager
async def pool(**options: float) -> AsyncIterator[Readers]:
    readers = Readers(PoolOptions(**options), ReadingOptions())  # type: ignore[arg-type]
    await readers.start()
    try:
        yield readers
    finally:
        await readers.stop()


def task(inline: str | None = None, artifact: str | None = None) -> ReadTask:
    source = Source(document=0, workspace="ws", file_id="file-fe-1", inline=inline, artifact=artifact)
    return ReadTask(task=0, question="What story?", sources=(source,), context_window=None)


def reader_processes() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [p for p in found if p.status() != psutil.STATUS_ZOMBIE and "longscroll.reading.process" in p.cmdline()]


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


async def test_a_reader_that_was_killed_is_replaced_and_its_task_repeated() -> None:
    async with pool() as readers:
        await readers.compose(PROMPT)
        [process] = reader_processes()
        os.kill(process.pid, signal.SIGKILL)
        assert len((await readers.compose(PROMPT)).parts) == 1
        assert [other.pid for other in reader_processes()] != [process.pid]


async def test_a_task_that_kills_two_readers_is_given_up() -> None:
    async with pool() as readers:
        asking = asyncio.create_task(readers.read(task(LONG)))
        for _ in range(2):
            while not (found := [p for p in reader_processes() if p.cpu_times().user > 0.3]):
                await asyncio.sleep(0.02)
            found[0].kill()
            await gone(found[0])
        with pytest.raises(EngineFailed):
            await asking
        assert len((await readers.compose(PROMPT)).parts) == 1


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
        with pytest.raises(EngineTimeout):
            await readers.read(task(LONG))


async def test_a_full_queue_refuses_at_once() -> None:
    async with pool(max_waiting=1) as readers:
        asking = [asyncio.create_task(readers.read(task(LONG))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await readers.compose(PROMPT)
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_no_process_is_left_after_stop() -> None:
    async with pool(n_readers=2):
        assert len(reader_processes()) == 2
    assert reader_processes() == []
