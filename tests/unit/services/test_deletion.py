"""Deletion is final: invisible at once, nobody writes or needs the file any more, then nothing of it is left."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from factories.ingestion import ScriptedParsers
from factories.service import WORKSPACE, LocalService, local_service
from factories.storage import NOON, make_file, put_blob
from longscroll.documents.ingest import Ingest
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import FileNotFound, InvalidFile, StorageFull
from longscroll.services.deletion import LET_GO_S, Deletions
from longscroll.services.in_use import FilesInUse
from longscroll.storage.base import ARTIFACT, BYTES, PREVIEW_FOLDER, blob_prefix
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryPresence
from longscroll.telemetry import Moment, observe_moments
from longscroll.types import ChatEvent, Delta, File
from simulation.loop import SimulatedLoop

BEES = "The lighthouse was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
Turns = tuple[tuple[str, str], tuple[str, str]]


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def about(file: File) -> Turns:
    return ("system", f"fileid://{file.id}"), ("user", "Who kept bees?")


async def ask_and_wait_for_a_reader(service: LocalService, file: File) -> asyncio.Task[list[ChatEvent]]:
    """Return a chat that has found its file and has nobody to read it yet."""
    service.readers.gate.clear()
    asking = asyncio.create_task(service.ask(*about(file)))
    while not service.readers.n_waiting:
        await asyncio.sleep(0.01)
    return asking


@pytest.mark.item(105)
async def test_a_chat_that_waits_for_a_reader_finishes_on_a_file_deleted_meanwhile() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        asking = await ask_and_wait_for_a_reader(service, file)
        deleting = asyncio.create_task(service.files.delete(WORKSPACE, file.id))
        await asyncio.sleep(0.05)
        assert not deleting.done()
        service.readers.gate.set()
        events = await asking
        await asyncio.wait_for(deleting, 1)
        assert await service.blobs.list_names("w/") == []
    assert "Ada Thornbury" in text_of(events)


async def test_a_file_that_a_chat_still_needs_is_invisible_to_the_next() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        asking = await ask_and_wait_for_a_reader(service, file)
        deleting = asyncio.create_task(service.files.delete(WORKSPACE, file.id))
        await asyncio.sleep(0.05)
        with pytest.raises(InvalidFile):
            await service.ask(*about(file))
        with pytest.raises(FileNotFound):
            await service.files.get(WORKSPACE, file.id)
        service.readers.gate.set()
        await asyncio.gather(asking, deleting)


@pytest.mark.item(105)
async def test_a_chat_that_has_its_evidence_neither_holds_a_deletion_up_nor_suffers_from_it() -> None:
    engine = Scripted([Rule(deltas=("Ada ", "Thornbury"), pace_s=1.0)])
    async with local_service(engine=engine) as service:
        file = await service.parsed(BEES)
        asking = asyncio.create_task(service.ask(*about(file), model="scripted"))
        while not engine.n_running:
            await asyncio.sleep(0.01)
        await service.files.delete(WORKSPACE, file.id)
        assert not asking.done()
        assert text_of(await asking) == "Ada Thornbury"


async def test_a_chat_that_leaves_lets_the_file_go() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        asking = await ask_and_wait_for_a_reader(service, file)
        asking.cancel()
        await asyncio.wait([asking])
        await asyncio.wait_for(service.files.delete(WORKSPACE, file.id), LET_GO_S / 2)


async def test_a_deletion_whose_client_leaves_goes_on_to_its_end() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        asking = await ask_and_wait_for_a_reader(service, file)
        deleting = asyncio.create_task(service.files.delete(WORKSPACE, file.id))
        await asyncio.sleep(0.01)
        deleting.cancel()
        service.readers.gate.set()
        await asyncio.wait([asking, deleting])
        assert deleting.cancelled()
        assert (await service.blobs.list_names("w/"), await service.rows.being_deleted()) == ([], [])


async def test_of_two_who_delete_a_file_one_is_told_that_it_is_not_there() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        deletions = [service.files.delete(WORKSPACE, file.id) for _ in range(2)]
        outcomes = await asyncio.gather(*deletions, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), FileNotFound]


async def test_the_moments_of_an_upload_and_a_deletion_are_told_in_order() -> None:
    moments: list[Moment] = []
    observe_moments(moments.append)
    async with local_service() as service:
        service.parsers.gate.clear()
        file = await service.upload(BEES)
        await service.files.delete(WORKSPACE, file.id)
    ours = [moment for moment in moments if moment.split(".")[0] in ("upload", "delete")]
    assert ours == [
        Moment.UPLOAD_STAGED,
        Moment.UPLOAD_ADOPTED,
        Moment.DELETE_MARKED,
        Moment.DELETE_LET_GO,
        Moment.BLOBS_DELETED,
        Moment.ROW_REMOVED,
    ]


class FullForAMoment(MemoryFiles):
    """A store that once has no room to remove a row."""

    def __init__(self) -> None:
        super().__init__()
        self.n_removals = 0

    async def remove(self, workspace: str, file_id: str) -> None:
        """Refuse the first time."""
        self.n_removals += 1
        if self.n_removals == 1:
            raise StorageFull("No space is left for the database.")
        await super().remove(workspace, file_id)


async def test_a_deletion_that_meets_a_full_disk_is_finished_later() -> None:
    async with local_service(rows=FullForAMoment()) as service:
        file = await service.parsed(BEES)
        with pytest.raises(StorageFull):
            await service.files.delete(WORKSPACE, file.id)
        assert await service.rows.get(WORKSPACE, file.id) is None
        async with asyncio.timeout(5):
            while await service.rows.being_deleted():
                await asyncio.sleep(0.05)


class AlwaysFull(MemoryFiles):
    """A store without room to remove a row; notes when it was asked to, in seconds of the loop."""

    def __init__(self, *, n_times: int) -> None:
        super().__init__()
        self.times: list[float] = []
        self.is_enough = asyncio.Event()
        self._n_times = n_times

    async def remove(self, workspace: str, file_id: str) -> None:
        """Refuse."""
        self.times.append(asyncio.get_running_loop().time())
        if len(self.times) == self._n_times:
            self.is_enough.set()
        raise StorageFull("No space is left for the database.")


def test_a_deletion_is_tried_again_later_and_later() -> None:
    rows = AlwaysFull(n_times=8)

    async def deletion() -> None:
        async with MemoryBlobs() as blobs:
            ingest = Ingest(rows, blobs, ScriptedParsers(), presence=MemoryPresence(), clock=lambda: NOON)
            deletions = Deletions(rows, blobs, ingest, FilesInUse())
            file = await rows.add(make_file())
            with pytest.raises(StorageFull):
                await deletions.delete(file.workspace, file.id)
            await rows.is_enough.wait()
            deletions.stop()

    loop = SimulatedLoop(Random(1), limit_s=1000)
    loop.run_until_complete(deletion())
    loop.end()
    assert rows.times == [0, 1, 3, 7, 15, 31, 61, 91]


async def half_deleted(rows: MemoryFiles, service: LocalService) -> File:
    """Return a file as a process leaves it that dies right after marking it."""
    file = await service.parsed(BEES)
    await rows.mark_deleting(file.workspace, file.id)
    return file


async def test_recovery_finishes_deletions_and_drops_bytes_without_a_row() -> None:
    async with local_service() as service:
        kept = await service.parsed("Kept.")
        await half_deleted(service.rows, service)
        orphan = make_file()
        await put_blob(service.blobs, blob_prefix(orphan.workspace, orphan.id) + BYTES, b"orphan")
        await service.files.recover()
        names = await service.blobs.list_names("w/")
        assert await service.rows.being_deleted() == []
    assert {name.split("/")[3] for name in names} == {kept.id}


async def test_recovery_takes_back_the_beginnings_of_parsed_files_and_leaves_those_that_a_worker_parses() -> None:
    async with local_service() as service:
        parsed = await service.parsed("Parsed.")
        prefixes = [blob_prefix(WORKSPACE, parsed.id)]
        await put_blob(service.blobs, f"{prefixes[0]}{PREVIEW_FOLDER}2", b"left over")
        begun = await service.being_parsed(BEES, beginning=BEES[:32])
        prefixes.append(blob_prefix(WORKSPACE, begun.id))
        await service.files.recover()
        left = [await service.blobs.list_names(prefix) for prefix in prefixes]
        service.parsers.gate.set()
    kept = [(ARTIFACT, BYTES), (BYTES, f"{PREVIEW_FOLDER}2")]
    assert left == [[prefix + name for name in names] for prefix, names in zip(prefixes, kept, strict=True)]


async def test_recovery_of_a_deletion_waits_until_the_one_who_parses_lets_go() -> None:
    async with local_service() as service:
        file = await service.being_parsed(BEES)
        await service.rows.mark_deleting(file.workspace, file.id)
        await service.files.recover()
        assert service.ingest.progress(file.workspace, file.id) is None
        assert (await service.blobs.list_names("w/"), await service.rows.being_deleted()) == ([], [])
