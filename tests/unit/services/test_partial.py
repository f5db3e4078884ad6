"""Chats that are content with the beginning of a file while the rest is being parsed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from factories.service import WORKSPACE, LocalService, local_service
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import FileGone, FileNotParsed, FileUnreadable
from longscroll.services.chat import ChatOptions
from longscroll.storage.base import ARTIFACT, BYTES, PREVIEW_FOLDER, blob_prefix
from longscroll.tokens import count_chat, load_counter
from longscroll.types import ChatEvent, Delta, File, Finish, Progress, Readable

BEGINNING = "The lighthouse was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n\n"
END = "Her brother Tom Thornbury repaired clocks in the village.\n"
BEES = "Who kept bees?"
CLOCKS = "Who repaired clocks in the village?"


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def end_of(events: list[ChatEvent]) -> Finish:
    assert isinstance(events[-1], Finish)
    return events[-1]


def parsed(events: list[ChatEvent]) -> Progress | None:
    """Return what the report says of how far the one document was parsed."""
    report = end_of(events).report
    assert report is not None
    [source] = report.sources
    return source.parsed


async def ask(service: LocalService, file: File, question: str, **fields: bool) -> list[ChatEvent]:
    asked: dict[str, Any] = {"wants_partial": True, "wants_report": False} | fields
    return await service.ask(("system", f"fileid://{file.id}"), ("user", question), **asked)


async def test_the_beginning_of_a_file_answers_and_the_report_says_how_far_it_goes() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        events = await ask(service, file, BEES)
        service.parsers.gate.set()
    assert "Ada Thornbury" in text_of(events)
    progress = parsed(events)
    assert progress is not None
    assert (progress.readable, progress.n_total, progress.unit) == (
        Readable(n_done=2, n_tokens=load_counter().count(BEGINNING)),
        4,
        "pages",
    )


async def test_what_is_not_parsed_yet_is_not_found() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        before = await ask(service, file, CLOCKS)
        service.parsers.gate.set()
        after = await ask(service, await service.settled(file), CLOCKS, wants_report=True)
    assert ("Tom Thornbury" in text_of(before), "Tom Thornbury" in text_of(after)) == (False, True)
    assert parsed(after) is None


async def test_a_beginning_is_billed_for_its_own_tokens() -> None:
    counter = load_counter()
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END * 50, beginning=BEGINNING)
        events = await ask(service, file, BEES)
        service.parsers.gate.set()
    billed = [("system", counter.count(BEGINNING)), ("user", counter.count(BEES))]
    assert end_of(events).usage.n_input_tokens == count_chat(counter, billed)


async def test_a_chat_waits_for_the_first_pages_and_no_longer() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END)
        asking = asyncio.create_task(ask(service, file, BEES))
        await asyncio.sleep(0.05)
        assert not asking.done()
        await service.parsers.give_beginning(BEGINNING, n_done=2)
        events = await asyncio.wait_for(asking, 5)
        service.parsers.gate.set()
    assert isinstance(events[0], Progress)
    assert "Ada Thornbury" in text_of(events)


async def test_a_chat_that_does_not_ask_for_it_waits_for_the_whole() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        asking = asyncio.create_task(ask(service, file, CLOCKS, wants_partial=False))
        await asyncio.sleep(0.05)
        assert not asking.done()
        service.parsers.gate.set()
        events = await asking
    assert "Tom Thornbury" in text_of(events)
    assert end_of(events).report is None


async def test_a_later_and_longer_beginning_is_read_where_an_earlier_one_was() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END * 2, beginning=BEGINNING)
        before = await ask(service, file, CLOCKS)
        await service.parsers.give_beginning(BEGINNING + END, n_done=3)
        after = await ask(service, file, CLOCKS)
        service.parsers.gate.set()
    assert ("Tom Thornbury" in text_of(before), "Tom Thornbury" in text_of(after)) == (False, True)


async def test_a_beginning_that_the_whole_replaces_in_the_last_moment_is_answered_from_the_whole() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        service.readers.gate.clear()
        asking = asyncio.create_task(ask(service, file, CLOCKS, wants_report=True))
        while not service.readers.n_waiting:
            await asyncio.sleep(0.01)
        service.parsers.gate.set()
        await service.settled(file)
        prefix = blob_prefix(WORKSPACE, file.id)
        assert await service.blobs.list_names(prefix) == [prefix + ARTIFACT, prefix + BYTES]
        service.readers.gate.set()
        events = await asking
    assert ("Tom Thornbury" in text_of(events), parsed(events)) == (True, None)


@pytest.mark.timeout(10)
async def test_a_beginning_that_is_gone_and_stays_so_is_looked_for_only_once_more() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        await service.blobs.delete_prefix(blob_prefix(WORKSPACE, file.id) + PREVIEW_FOLDER)
        with pytest.raises(FileGone):
            await ask(service, file, BEES)
        service.parsers.gate.set()


async def test_a_file_that_breaks_after_its_beginning_is_refused_with_its_words() -> None:
    async with local_service() as service:
        file = await service.being_parsed("broken", beginning=BEGINNING)
        service.readers.gate.clear()
        asking = asyncio.create_task(ask(service, file, BEES))
        while not service.readers.n_waiting:
            await asyncio.sleep(0.01)
        service.parsers.gate.set()
        await service.settled(file)
        service.readers.gate.set()
        with pytest.raises(FileUnreadable, match="parsing error"):
            await asking


async def test_a_file_deleted_while_its_beginning_is_waited_for_is_gone() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEGINNING + END)
        asking = asyncio.create_task(ask(service, file, BEES))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(service.files.delete(WORKSPACE, file.id), 1)
        with pytest.raises(FileGone, match=r"cannot be found\.$"):
            await asking
        service.parsers.gate.set()


@pytest.mark.parametrize("wait_s", [0.0, 0.05])
async def test_a_beginning_that_does_not_come_in_time_has_the_documented_words(wait_s: float) -> None:
    async with local_service(chat=ChatOptions(parse_wait_s=wait_s)) as service:
        file = await service.being_parsed(BEGINNING + END)
        with pytest.raises(FileNotParsed, match=r"^File parsing in progress, please try again later\.$"):
            await ask(service, file, BEES)
        service.parsers.gate.set()


async def test_a_beginning_that_is_there_needs_no_wait() -> None:
    async with local_service(chat=ChatOptions(parse_wait_s=0)) as service:
        file = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        events = await ask(service, file, BEES)
        service.parsers.gate.set()
    assert "Ada Thornbury" in text_of(events)


async def test_a_whole_file_beside_a_beginning_is_not_called_partial() -> None:
    async with local_service(engine=Scripted([Rule(deltas=("Ada.",))])) as service:
        whole = await service.parsed(END)
        begun = await service.being_parsed(BEGINNING + END, beginning=BEGINNING)
        reference = ("system", f"fileid://{whole.id},fileid://{begun.id}")
        events = await service.ask(reference, ("user", BEES), model="scripted", wants_partial=True)
        service.parsers.gate.set()
    report = end_of(events).report
    assert report is not None
    assert [source.parsed is None for source in report.sources] == [True, False]
