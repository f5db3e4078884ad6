"""What becomes of a file for batches where other files are documents."""

from __future__ import annotations

import pytest

from factories.service import WORKSPACE, LocalService, local_service
from longscroll.errors import InvalidFile, UploadTooLarge
from longscroll.services.files import FileOptions
from longscroll.services.verify import Checked, Verification, VerifyOptions
from longscroll.types import File, FileStatus

LINES = b'{"custom_id": "a"}\n'


async def put(service: LocalService, purpose: str = "batch") -> File:
    upload = await service.files.begin(WORKSPACE, purpose=purpose)
    await upload.write(LINES)
    return await upload.commit(filename="questions.jsonl", purpose=purpose)


async def test_a_file_for_batches_is_never_parsed() -> None:
    async with local_service() as service:
        file = await put(service)
        assert (file.status, file.is_document, file.id.startswith("file-batch-")) == (FileStatus.PROCESSED, False, True)
        assert await service.rows.claim("parser", now=file.created_at, lease_s=1) is None


async def test_a_chat_that_names_it_is_refused_as_for_an_unknown_file() -> None:
    async with local_service() as service:
        file = await put(service)
        with pytest.raises(InvalidFile) as refusal:
            await service.ask(("system", f"fileid://{file.id}"), ("user", "What is asked?"))
    assert str(refusal.value) == f"Invalid file [id:{file.id}]."


async def test_nothing_is_missed_when_what_is_stored_is_checked() -> None:
    async with local_service() as service:
        await put(service)
        check = Verification(service.rows, service.blobs, VerifyOptions(look_again_s=0.0))
        assert [found async for found in check.run()] == [Checked(len(LINES))]


async def test_what_a_batch_answered_is_kept_where_the_workspace_is_full() -> None:
    async with local_service(files=FileOptions(max_files=1, max_batch_bytes=len(LINES))) as service:
        await put(service)
        output = await put(service, "batch_output")
        assert (output.status, output.id.startswith("file-batch_output-")) == (FileStatus.PROCESSED, True)


async def test_its_limit_holds_as_soon_as_its_purpose_is_known() -> None:
    async with local_service(files=FileOptions(max_file_bytes=5, max_batch_bytes=10)) as service:
        upload = await service.files.begin(WORKSPACE)
        await upload.write(b"0123456789")
        with pytest.raises(UploadTooLarge):
            await upload.commit(filename="a.txt", purpose="file-extract")
        await upload.discard()
