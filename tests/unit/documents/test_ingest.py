"""The state machine of ingestion, over memory stores and scripted parsers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict
from structlog.testing import capture_logs

from factories.ingestion import ARTIFACT_BYTES, PREVIEW_BYTES, ScriptedParsers, done, progressed
from factories.storage import NOON, WORKSPACE, make_file, put_blob, read_blob
from longscroll.documents.ingest import Failed, Ingest, IngestOptions, Ready
from longscroll.documents.zygote import NoZygote, ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.storage.base import ARTIFACT, BYTES, PREVIEW_FOLDER, Claim, blob_prefix, preview_name
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryPresence
from longscroll.types import File, FileStatus, Progress, Readable

OPTIONS = IngestOptions(lease_s=0.06, renew_s=0.01, poll_s=0.02, young_s=0.02, backoff_s=0.01)
NEIGHBOR = "another process"


class House:
    """Stores, a living neighbor, and ingestions of the house's own clock over them."""

    def __init__(self, blobs: MemoryBlobs) -> None:
        self.files = MemoryFiles()
        self.blobs = blobs
        self.now = NOON
        self.living = {NEIGHBOR}

    def ingest(self, parsers: ScriptedParsers, **options: float) -> Ingest:
        presence = MemoryPresence(self.living)
        self.living.add(presence.owner)
        values: dict[str, Any] = asdict(OPTIONS) | options
        return Ingest(
            self.files, self.blobs, parsers, presence=presence, clock=self.clock, options=IngestOptions(**values)
        )

    def clock(self) -> datetime:
        return self.now

    async def upload(self, workspace: str = WORKSPACE) -> File:
        file = make_file(workspace=workspace)
        await put_blob(self.blobs, blob_prefix(file.workspace, file.id) + BYTES, b"bytes")
        return await self.files.add(file)

    async def names(self, file: File) -> list[str]:
        prefix = blob_prefix(file.workspace, file.id)
        return [name.removeprefix(prefix) for name in await self.blobs.list_names(prefix)]

    async def delete(self, ingest: Ingest, file: File) -> None:
        await self.files.mark_deleting(file.workspace, file.id)
        await ingest.cancel(file.workspace, file.id)
        await self.blobs.delete_prefix(blob_prefix(file.workspace, file.id))
        await self.files.remove(file.workspace, file.id)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with MemoryBlobs() as blobs:
        yield House(blobs)


async def last_event(ingest: Ingest, file: File) -> Ready | Failed:
    async with asyncio.timeout(5), aclosing(ingest.watch(file.workspace, file.id)) as events:
        async for event in events:
            if not isinstance(event, Progress):
                return event
    raise AssertionError("the file came to no end")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_an_uploaded_file_becomes_processed_with_its_artifact_in_place(house: House) -> None:
    async with house.ingest(ScriptedParsers(done(details="1 of 3 pages could not be read: 2."))) as ingest:
        file = await house.upload()
        ingest.notify()
        assert await last_event(ingest, file) == Ready()
    stored = await house.files.get(file.workspace, file.id)
    assert stored is not None
    assert (stored.status, stored.n_pages, stored.n_chars, stored.n_tokens) == (FileStatus.PROCESSED, 3, 120, 40)
    assert stored.status_details == "1 of 3 pages could not be read: 2."
    assert await read_blob(house.blobs, blob_prefix(file.workspace, file.id) + ARTIFACT) == ARTIFACT_BYTES


async def test_a_file_that_is_no_document_becomes_an_error_in_words(house: House) -> None:
    locked = DocumentError(DocumentErrorKind.ENCRYPTED, "A password is needed.")
    async with house.ingest(ScriptedParsers(locked)) as ingest:
        file = await house.upload()
        assert await last_event(ingest, file) == Failed(DocumentErrorKind.ENCRYPTED, "A password is needed.")
    assert await house.names(file) == [BYTES]


async def test_a_watcher_sees_the_file_wait_then_its_pages_then_the_end(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    ingest = house.ingest(parsers)
    file = await house.upload()
    async with asyncio.timeout(5), aclosing(ingest.watch(file.workspace, file.id)) as events:
        assert await anext(events) == Progress(stage="queued", file_id=file.id)
        async with ingest:
            assert await anext(events) == Progress(stage="parsing", file_id=file.id)
            await until(lambda: parsers.n_running == 1)
            parsers.report(progressed(2, 3))
            reported = Progress(stage="parsing", file_id=file.id, n_done=2, n_total=3, unit="pages")
            assert ingest.progress(file.workspace, file.id) == reported
            assert await anext(events) == reported
            parsers.gate.set()
            assert [event async for event in events] == [Ready()]


async def test_what_another_process_publishes_is_seen_by_polling(house: House) -> None:
    file = await house.upload()
    watching = asyncio.create_task(last_event(house.ingest(ScriptedParsers()), file))
    async with house.ingest(ScriptedParsers()):
        assert await watching == Ready()


async def test_a_file_that_is_gone_ends_its_watch(house: House) -> None:
    assert await last_event(house.ingest(ScriptedParsers()), make_file()) == Failed(None, "The file was deleted.")


async def test_deletion_ends_the_parse_and_nothing_stays(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers) as ingest:
        file = await house.upload()
        watching = asyncio.create_task(last_event(ingest, file))
        await until(lambda: parsers.n_running == 1)
        await house.delete(ingest, file)
        assert parsers.n_running == 0
        assert await watching == Failed(None, "The file was deleted.")
    assert await house.names(file) == []


async def test_a_deletion_between_artifact_and_publication_leaves_nothing(house: House) -> None:
    class DeletedBeneath(MemoryBlobs):
        async def adopt(self, staged: Path, name: str) -> None:
            await super().adopt(staged, name)
            if name.endswith(ARTIFACT):
                await house.files.mark_deleting(file.workspace, file.id)

    async with DeletedBeneath() as house.blobs:
        async with house.ingest(ScriptedParsers()) as ingest:
            file = await house.upload()
            assert await last_event(ingest, file) == Failed(None, "The file was deleted.")
        assert await house.names(file) == []


async def test_stopping_gives_the_claim_back_as_if_it_had_never_been(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers):
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
    claim = await house.files.claim(NEIGHBOR, now=house.now, lease_s=1)
    assert claim is not None
    assert (claim.file.id, claim.file.attempt) == (file.id, 1)


async def test_a_lease_is_renewed_as_long_as_the_parse_goes_on(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers):
        await house.upload()
        await until(lambda: parsers.n_running == 1)
        for _ in range(5):
            await asyncio.sleep(OPTIONS.lease_s / 2)
            house.now += timedelta(seconds=OPTIONS.lease_s / 2)
            assert await house.files.claim(NEIGHBOR, now=house.now, lease_s=1) is None


async def test_who_lost_its_lease_publishes_nothing_and_does_not_disturb_the_new_holder(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers) as ingest:
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        house.now += timedelta(hours=1)
        claim = await house.files.claim(NEIGHBOR, now=house.now, lease_s=3600)
        await until(lambda: ingest.progress(file.workspace, file.id) is None)
        assert claim is not None
        assert (parsers.n_running, await house.names(file)) == (0, [BYTES])
        assert await house.files.renew(claim, now=house.now, lease_s=1)


async def test_a_full_disk_postpones_a_file_longer_and_longer_and_costs_it_no_attempt(house: House) -> None:
    parsers = ScriptedParsers(*[StorageFull("full")] * 4, done())
    with capture_logs() as lines:
        async with house.ingest(parsers, backoff_s=0.01, max_backoff_s=0.03) as ingest:
            file = await house.upload()
            assert await last_event(ingest, file) == Ready()
    stored = await house.files.get(file.workspace, file.id)
    assert stored is not None
    assert stored.attempt == 1
    assert [(line["event"], line["retry_in_s"]) for line in lines] == [
        ("ingest.no_space", pause_s) for pause_s in (0.01, 0.02, 0.03, 0.03)
    ]


async def test_many_files_on_a_full_disk_are_one_line_of_the_log(house: House) -> None:
    parsers = ScriptedParsers(StorageFull("full"), n_children=3)
    parsers.gate.clear()
    with capture_logs() as lines:
        async with house.ingest(parsers, backoff_s=60.0) as ingest:
            files = [await house.upload() for _ in range(3)]
            await until(lambda: parsers.n_running == 3)
            parsers.gate.set()
            await until(lambda: all(ingest.progress(file.workspace, file.id) is None for file in files))
    assert [line["event"] for line in lines] == ["ingest.no_space"]


async def test_a_claim_that_a_full_disk_does_not_let_go_is_given_back_later(house: House) -> None:
    class FullForAWhile(MemoryFiles):
        n_refused = 0

        async def release(self, claim: Claim) -> None:
            if self.n_refused < 3:
                self.n_refused += 1
                raise StorageFull("full")
            await super().release(claim)

    house.files = FullForAWhile()
    async with house.ingest(ScriptedParsers(StorageFull("full"), done())) as ingest:
        file = await house.upload()
        assert await last_event(ingest, file) == Ready()
    stored = await house.files.get(file.workspace, file.id)
    assert stored is not None
    assert (stored.attempt, house.files.n_refused) == (1, 3)


async def test_parsers_that_cannot_be_started_are_not_the_fault_of_the_file(house: House) -> None:
    async with house.ingest(ScriptedParsers(*[NoZygote()] * 5, done()), max_attempts=1) as ingest:
        file = await house.upload()
        assert await last_event(ingest, file) == Ready()
    stored = await house.files.get(file.workspace, file.id)
    assert stored is not None
    assert stored.attempt == 1


async def test_services_that_were_killed_are_not_the_fault_of_the_file(house: House) -> None:
    file = await house.upload()
    for n in range(20):
        assert await house.files.claim(f"killed service {n}", now=house.now, lease_s=1) is not None
        house.now += timedelta(seconds=1)
    async with house.ingest(ScriptedParsers()) as ingest:
        assert await last_event(ingest, file) == Ready()


async def test_a_file_that_takes_its_machine_down_is_not_read_for_ever(house: House) -> None:
    async with house.ingest(ScriptedParsers(ZygoteLost()), max_attempts=3) as ingest:
        file = await house.upload()
        watching = asyncio.create_task(last_event(ingest, file))
        while not watching.done():
            house.now += timedelta(seconds=OPTIONS.lease_s)
            await asyncio.sleep(OPTIONS.poll_s)
    assert watching.result() == Failed(DocumentErrorKind.CORRUPT, "Reading the file was broken off 3 times.")


async def test_a_file_whose_bytes_are_lost_says_so(house: House) -> None:
    async with house.ingest(ScriptedParsers()) as ingest:
        file = await house.files.add(make_file())
        event = await last_event(ingest, file)
    assert event == Failed(DocumentErrorKind.CORRUPT, "The stored bytes of the file are missing; upload it again.")


async def test_no_more_files_are_claimed_than_children_can_parse(house: House) -> None:
    parsers = ScriptedParsers(n_children=2)
    parsers.gate.clear()
    async with house.ingest(parsers, young_s=60) as ingest:
        files = [await house.upload() for _ in range(3)]
        await until(lambda: parsers.n_running == 2)
        assert sum(ingest.progress(file.workspace, file.id) is not None for file in files) == 2
        parsers.gate.set()
        assert [await last_event(ingest, file) for file in files] == [Ready()] * 3


async def test_files_that_take_long_make_room_for_others_first_of_their_workspace_then_of_another(house: House) -> None:
    parsers = ScriptedParsers(n_children=1)
    parsers.gate.clear()
    async with house.ingest(parsers):
        for _ in range(3):
            await house.upload()
        await until(lambda: parsers.n_running == 2)
        await asyncio.sleep(3 * OPTIONS.young_s)
        assert parsers.n_running == 2
        for _ in range(2):
            await house.upload(workspace="another")
        await until(lambda: parsers.n_running == 3)
        await asyncio.sleep(3 * OPTIONS.young_s)
        assert parsers.n_running == 3


async def test_the_files_of_a_process_that_is_known_to_be_dead_are_taken_up_at_once(house: House) -> None:
    file = await house.upload()
    assert await house.files.claim("killed", now=house.now, lease_s=3600) is not None
    async with house.ingest(ScriptedParsers()) as ingest:
        assert await last_event(ingest, file) == Ready()


async def test_a_deletion_waits_until_another_process_has_let_go(house: House) -> None:
    file = await house.upload()
    claim = await house.files.claim(NEIGHBOR, now=house.now, lease_s=3600)
    assert claim is not None
    ingest = house.ingest(ScriptedParsers(), lease_s=60)
    await house.files.mark_deleting(file.workspace, file.id)
    cancelling = asyncio.create_task(ingest.cancel(file.workspace, file.id))
    await asyncio.sleep(0.1)
    assert not cancelling.done()
    await house.files.release(claim)
    await asyncio.wait_for(cancelling, 5)


async def test_a_deletion_does_not_wait_for_the_dead(house: House) -> None:
    file = await house.upload()
    assert await house.files.claim("killed", now=house.now, lease_s=3600) is not None
    await house.files.mark_deleting(file.workspace, file.id)
    await asyncio.wait_for(house.ingest(ScriptedParsers(), lease_s=60).cancel(file.workspace, file.id), 5)


async def test_every_process_sees_in_the_row_how_far_a_parse_is(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers):
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        parsers.report(progressed(2, 3))
        expected = Progress(stage="parsing", file_id=file.id, n_done=2, n_total=3)
        async with aclosing(house.ingest(ScriptedParsers()).watch(file.workspace, file.id)) as events:
            assert expected in [await anext(events), await anext(events)]
        parsers.gate.set()


async def test_rate_and_time_left_are_told_once_there_are_two_reports(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers) as ingest:
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        parsers.report(progressed(10, 100))
        await asyncio.sleep(0.05)
        parsers.report(progressed(20, 100))
        progress = ingest.progress(file.workspace, file.id)
        assert progress is not None
        assert progress.per_s is not None
        assert 0 < progress.per_s <= 10 / 0.05
        assert progress.left_s == pytest.approx(80 / progress.per_s)


async def test_the_beginning_can_be_read_while_the_rest_is_parsed_and_is_gone_after(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers) as ingest:
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        for n_done, content in ((5, b"five pages"), (9, b"nine pages")):
            readable = Readable(n_done=n_done, n_tokens=n_done * 10)
            staged = await parsers.preview(readable, content)
            stored = await house.files.get(file.workspace, file.id)
            assert stored is not None
            assert stored.progress is not None
            assert stored.progress.readable == readable
            name = blob_prefix(file.workspace, file.id) + preview_name(readable)
            assert await read_blob(house.blobs, name) == content
            assert not staged.exists()
        parsers.gate.set()
        assert await last_event(ingest, file) == Ready()
        await until(lambda: ingest.progress(file.workspace, file.id) is None)
    assert await house.names(file) == [ARTIFACT, BYTES]


async def test_a_preview_that_an_earlier_claim_left_is_gone_after(house: House) -> None:
    file = await house.upload()
    await put_blob(house.blobs, f"{blob_prefix(file.workspace, file.id)}{PREVIEW_FOLDER}48", PREVIEW_BYTES)
    given_back = await house.files.claim(NEIGHBOR, now=house.now, lease_s=1)
    assert given_back is not None
    await house.files.release(given_back)
    async with house.ingest(ScriptedParsers()) as ingest:
        assert await last_event(ingest, file) == Ready()
        await until(lambda: ingest.progress(file.workspace, file.id) is None)
    assert await house.names(file) == [ARTIFACT, BYTES]


async def test_a_preview_that_comes_when_its_file_has_gone_is_taken_back(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers):
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        await house.files.mark_deleting(file.workspace, file.id)
        await house.blobs.delete_prefix(blob_prefix(file.workspace, file.id))
        await house.files.remove(file.workspace, file.id)
        await parsers.preview(Readable(n_done=5, n_tokens=50))
        assert await house.names(file) == []


async def test_a_preview_that_finds_no_space_is_left_out(house: House) -> None:
    class FullForPreviews(MemoryBlobs):
        async def adopt(self, staged: Path, name: str) -> None:
            if PREVIEW_FOLDER in name:
                raise StorageFull("full")
            await super().adopt(staged, name)

    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with FullForPreviews() as house.blobs, house.ingest(parsers) as ingest:
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        staged = await parsers.preview(Readable(n_done=5, n_tokens=50))
        parsers.gate.set()
        assert await last_event(ingest, file) == Ready()
        assert not staged.exists()


async def test_who_drains_takes_no_more_and_ends_what_it_has(house: House) -> None:
    parsers = ScriptedParsers()
    parsers.gate.clear()
    async with house.ingest(parsers) as ingest:
        file = await house.upload()
        await until(lambda: parsers.n_running == 1)
        ingest.drain()
        later = await house.upload()
        parsers.gate.set()
        assert await last_event(ingest, file) == Ready()
        await asyncio.sleep(3 * OPTIONS.poll_s)
        assert parsers.n_calls == 1
    stored = await house.files.get(later.workspace, later.id)
    assert stored is not None
    assert stored.attempt == 0


async def test_ingestion_goes_on_after_a_store_failed_under_it(house: House) -> None:
    class FailsOnce(MemoryFiles):
        has_failed = False

        async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = 1):  # type: ignore[no-untyped-def]
            if not self.has_failed:
                self.has_failed = True
                raise ConnectionError("the database went away")
            return await super().claim(owner, now=now, lease_s=lease_s, share=share)

    house.files = FailsOnce()
    async with house.ingest(ScriptedParsers()) as ingest:
        assert await last_event(ingest, await house.upload()) == Ready()
