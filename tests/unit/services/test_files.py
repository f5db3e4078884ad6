"""Files as clients see them: quota, storage, deletion, text, and what a crash leaves."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from factories.service import WORKSPACE, local_service
from factories.storage import make_file
from longscroll.errors import FileNotFound, FileNotParsed, FileUnreadable, QuotaExceeded, UploadTooLarge
from longscroll.services.files import FileOptions
from longscroll.storage.base import FileFilter, blob_prefix
from longscroll.types import File, FileStatus, Progress


async def test_an_upload_becomes_a_processed_file_with_its_hash_and_counts() -> None:
    async with local_service() as service:
        file = await service.parsed("Bees hum.\n")
    assert (file.status, file.size_bytes, file.n_chars) == (FileStatus.PROCESSED, 10, 10)
    assert file.sha256 == hashlib.sha256(b"Bees hum.\n").hexdigest()


@pytest.mark.item(76)
async def test_an_upload_over_the_limit_ends_on_the_byte_that_is_too_much() -> None:
    async with local_service(files=FileOptions(max_file_bytes=10)) as service:
        upload = await service.files.begin(WORKSPACE, purpose="file-extract")
        await upload.write(b"0123456789")
        with pytest.raises(UploadTooLarge):
            await upload.write(b"!")
        await upload.discard()
        assert await service.files.page(WORKSPACE, which=FileFilter(), after=None, limit=9) == ([], False)


@pytest.mark.item(102)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (FileOptions(max_files=1), "Upload file number exceed limit."),
        (FileOptions(max_bytes=15), "Upload file capacity exceed limit."),
    ],
)
async def test_a_full_workspace_refuses_and_another_does_not(options: FileOptions, words: str) -> None:
    async with local_service(files=options) as service:
        await service.upload("0123456789")
        with pytest.raises(QuotaExceeded, match=words):
            await service.upload("0123456789")
        await service.upload("0123456789", workspace="other")


async def test_uploads_at_once_do_not_pass_a_quota_together_and_leave_nothing_behind() -> None:
    async with local_service(files=FileOptions(max_files=3)) as service:
        ended = await asyncio.gather(*(service.upload("0123456789") for _ in range(10)), return_exceptions=True)
        kept = [one.id for one in ended if isinstance(one, File)]
        assert len(kept) == 3
        assert {name.split("/")[3] for name in await service.files.blobs.list_names("w/")} == set(kept)


async def test_the_text_of_a_file_reads_back_and_is_refused_before_it_is_there() -> None:
    async with local_service() as service:
        service.parsers.gate.clear()
        file = await service.upload("春天来了。")
        with pytest.raises(FileNotParsed):
            await service.files.content(WORKSPACE, file.id)
        service.parsers.gate.set()
        async for _ in service.ingest.watch(WORKSPACE, file.id):
            pass
        pieces = [piece async for piece in await service.files.content(WORKSPACE, file.id)]
    assert b"".join(pieces).decode().strip() == "春天来了。"


async def test_the_text_of_a_broken_file_is_refused_with_its_reason() -> None:
    async with local_service() as service:
        file = await service.parsed("broken")
        assert (file.status, file.status_details) == (FileStatus.ERROR, "It is broken.")
        with pytest.raises(FileUnreadable, match="parsing error"):
            await service.files.content(WORKSPACE, file.id)


async def test_progress_is_told_wherever_the_file_is_parsed() -> None:
    elsewhere = make_file(progress=Progress(stage="parsing", n_done=7, n_total=9))
    async with local_service() as service:
        here = await service.being_parsed("Bees hum.")
        told = [service.files.progress(file) for file in (here, elsewhere, make_file())]
        service.parsers.gate.set()
    assert told == [Progress(stage="parsing", file_id=here.id, n_total=4), elsewhere.progress, None]


async def test_a_file_that_came_to_its_end_has_no_progress() -> None:
    async with local_service() as service:
        file = await service.parsed("Bees hum.")
        assert service.files.progress(file) is None


@pytest.mark.item(74)
async def test_the_same_bytes_twice_are_two_files_that_are_deleted_apart() -> None:
    async with local_service() as service:
        first, second = await service.parsed("Bees hum."), await service.parsed("Bees hum.")
        await service.files.delete(WORKSPACE, first.id)
        assert (await service.files.get(WORKSPACE, second.id)).status == FileStatus.PROCESSED
        with pytest.raises(FileNotFound):
            await service.files.get(WORKSPACE, first.id)
        assert await service.blobs.list_names(blob_prefix(WORKSPACE, first.id)) == []


@pytest.mark.item(71)
async def test_a_foreign_file_is_as_missing_as_one_that_never_was() -> None:
    async with local_service() as service:
        file = await service.parsed("Bees hum.", workspace="other")
        for work in (service.files.get, service.files.delete, service.files.content):
            with pytest.raises(FileNotFound):
                await work(WORKSPACE, file.id)
        assert (await service.files.get("other", file.id)).id == file.id


async def test_a_file_that_is_deleted_while_it_is_parsed_leaves_nothing() -> None:
    async with local_service() as service:
        service.parsers.gate.clear()
        file = await service.upload("Bees hum.")
        await anext(service.ingest.watch(WORKSPACE, file.id))
        await service.files.delete(WORKSPACE, file.id)
        service.parsers.gate.set()
        assert await service.blobs.list_names("w/") == []
