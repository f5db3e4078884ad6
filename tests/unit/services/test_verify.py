"""What is found wrong with stored files, what is said of it, and what is left alone."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from factories.artifacts import artifact_bytes
from factories.storage import NOON, WORKSPACE, make_file, put_blob
from longscroll.documents.artifact import Artifact
from longscroll.documents.container import Container, ContainerWriter
from longscroll.services.verify import Checked, Problem, Verification, VerifyOptions
from longscroll.storage.base import Outcome, blob_prefix
from longscroll.storage.memory import MemoryBlobs, MemoryFiles
from longscroll.types import File, FileStatus

CONTENT = b"The lighthouse of Quarrel Point was lit in 1871.\n"
PARSE, UPLOAD, RESTART = "Let it be parsed again", "Delete it and upload it again", "Restart the service"


class Folder(Struct, frozen=True):
    """A data folder in memory."""

    files: MemoryFiles
    blobs: MemoryBlobs

    async def put(self, status: FileStatus = FileStatus.PROCESSED, **fields: Any) -> File:
        """Add a file in its final state, bytes and artifact in place."""
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        file = await self.files.add(make_file(**({"sha256": sha256, "size_bytes": len(CONTENT)} | fields)))
        await self.write(file, "bytes", CONTENT)
        if status == FileStatus.UPLOADED:
            return file
        outcome = Outcome(status=status)
        if status == FileStatus.PROCESSED:
            stored = artifact_bytes(CONTENT.decode())
            await self.write(file, "artifact", stored)
            meta = Artifact.from_buffer(stored).meta
            outcome = replace(outcome, n_pages=meta.n_pages, n_chars=meta.n_chars, n_tokens=meta.n_tokens)
        claim = await self.files.claim("test", now=NOON, lease_s=3)
        assert claim is not None
        assert await self.files.publish(claim, outcome)
        return file

    async def write(self, file: File, name: str, content: bytes) -> None:
        """Put a blob in its place, or another in the place of it."""
        await put_blob(self.blobs, blob_prefix(file.workspace, file.id) + name, content)

    async def lose(self, file: File, name: str) -> None:
        """Remove one blob of a file."""
        prefix = blob_prefix(file.workspace, file.id)
        kept = [other for other in await self.blobs.list_names(prefix) if other != prefix + name]
        paths = [(other, await self.blobs.local_path(other)) for other in kept]
        contents = [(other, path.read_bytes()) for other, path in paths if path is not None]
        await self.blobs.delete_prefix(prefix)
        for other, content in contents:
            await put_blob(self.blobs, other, content)

    async def problems(self) -> list[Problem]:
        """Return what a check finds."""
        verification = Verification(self.files, self.blobs, VerifyOptions(look_again_s=0))
        return [event async for event in verification.run() if isinstance(event, Problem)]

    async def said(self) -> list[tuple[str, bool]]:
        """Return what a check finds, as the beginning of its advice, and whether parsing mends it."""
        return [(problem.advice.partition(":")[0].rstrip("."), problem.can_be_parsed_again)
                for problem in await self.problems()]  # fmt: skip


@pytest.fixture
async def folder() -> AsyncIterator[Folder]:
    async with MemoryBlobs() as blobs:
        yield Folder(MemoryFiles(), blobs)


async def test_files_in_every_state_of_a_sound_folder_are_counted_and_left_alone(folder: Folder) -> None:
    for status in (FileStatus.PROCESSED, FileStatus.ERROR):
        await folder.put(status)
    await folder.put(workspace="other")
    await folder.put(FileStatus.UPLOADED)
    verification = Verification(folder.files, folder.blobs)
    assert await verification.n_files() == 4
    events = [event async for event in verification.run()]
    assert [type(event) for event in events] == [Checked] * 4
    assert sum(event.n_bytes for event in events if isinstance(event, Checked)) > 4 * len(CONTENT)


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT.upper()])
async def test_bytes_that_are_not_those_that_came_must_be_uploaded_again(folder: Folder, content: bytes) -> None:
    await folder.write(await folder.put(), "bytes", content)
    assert await folder.said() == [(UPLOAD, False)]


async def test_missing_bytes_must_be_uploaded_again_whatever_else_is_wrong(folder: Folder) -> None:
    file = await folder.put()
    await folder.blobs.delete_prefix(blob_prefix(WORKSPACE, file.id))
    assert [problem.what for problem in await folder.problems()] == ["its bytes are missing", "its artifact is missing"]
    assert await folder.said() == [(UPLOAD, False)] * 2


async def test_a_missing_artifact_can_be_made_again(folder: Folder) -> None:
    await folder.lose(await folder.put(), "artifact")
    assert await folder.said() == [(PARSE, True)]


@pytest.mark.parametrize("at", [0, 70, -200, -1])
async def test_an_artifact_with_one_wrong_byte_can_be_made_again(folder: Folder, at: int) -> None:
    damaged = bytearray(artifact_bytes(CONTENT.decode()))
    damaged[at] ^= 0x55
    await folder.write(await folder.put(), "artifact", bytes(damaged))
    assert await folder.said() == [(PARSE, True)]


async def test_the_sound_artifact_of_another_document_is_not_taken_for_its_own(folder: Folder) -> None:
    await folder.write(await folder.put(), "artifact", artifact_bytes("Bees."))
    assert await folder.said() == [(PARSE, True)]


def by_other_rules(artifact: bytes) -> bytes:
    """Return an artifact that is whole and says that it is from before the first rules."""
    container, out = Container(memoryview(artifact)), BytesIO()
    writer = ContainerWriter(out)
    for name in container._sections:
        section = bytes(container.section(name))
        writer.add(name, section.replace(b'"terms":1', b'"terms":0') if name == "meta" else section)
    writer.finish()
    return out.getvalue()


async def test_an_artifact_by_other_term_rules_can_be_made_again(folder: Folder) -> None:
    await folder.write(await folder.put(), "artifact", by_other_rules(artifact_bytes(CONTENT.decode())))
    [problem] = await folder.problems()
    assert ("term rules 0" in problem.what, problem.can_be_parsed_again) == (True, True)


@pytest.mark.parametrize("status", [FileStatus.PROCESSED, FileStatus.ERROR])
async def test_a_beginning_that_is_left_over_is_the_next_start_s_work(folder: Folder, status: FileStatus) -> None:
    await folder.write(await folder.put(status), "preview/48", b"half")
    [problem] = await folder.problems()
    assert (problem.what, problem.can_be_parsed_again) == ("preview/48 is left over", False)
    assert problem.advice.startswith("Restart the service")


async def test_a_document_that_is_left_over_beside_an_error_is_named(folder: Folder) -> None:
    await folder.write(await folder.put(FileStatus.ERROR), "artifact", b"half")
    [problem] = await folder.problems()
    assert (problem.what, problem.can_be_parsed_again) == ("artifact is left over", True)


async def test_the_preview_of_a_file_that_is_being_parsed_is_not_left_over(folder: Folder) -> None:
    await folder.write(await folder.put(FileStatus.UPLOADED), "preview/48", b"half")
    assert await folder.said() == []


async def test_bytes_without_a_row_and_deletions_without_an_end_are_the_next_start_s_work(folder: Folder) -> None:
    await folder.write(make_file(), "bytes", CONTENT)
    half_deleted = await folder.put()
    await folder.files.mark_deleting(WORKSPACE, half_deleted.id)
    assert await folder.said() == [(RESTART, False)] * 2


async def test_a_file_that_is_gone_when_it_is_looked_at_again_was_only_deleted(folder: Folder) -> None:
    file = await folder.put()
    await folder.lose(file, "artifact")
    problems = []
    async for event in Verification(folder.files, folder.blobs, VerifyOptions(look_again_s=0)).run():
        if isinstance(event, Checked):
            await folder.files.mark_deleting(WORKSPACE, file.id)
            await folder.files.remove(WORKSPACE, file.id)
            await folder.blobs.delete_prefix(blob_prefix(WORKSPACE, file.id))
        else:
            problems.append(event)
    assert problems == []


class RequeuedMeanwhile(MemoryFiles):
    """Rows of which each is about to change when it is read."""

    async def get(self, workspace: str, file_id: str) -> File | None:
        """Return the row as it was, and queue its file anew."""
        file = await super().get(workspace, file_id)
        await self.requeue(workspace, file_id)
        return file


async def test_a_file_whose_row_changes_while_it_is_looked_at_is_no_problem() -> None:
    async with MemoryBlobs() as blobs:
        folder = Folder(RequeuedMeanwhile(), blobs)
        await folder.lose(await folder.put(), "artifact")
        verification = Verification(folder.files, blobs, VerifyOptions(n_more_looks=1, look_again_s=0))
        assert [type(event) async for event in verification.run()] == [Checked]


async def test_what_can_be_parsed_again_is_queued_once(folder: Folder) -> None:
    file = await folder.put()
    await folder.lose(file, "artifact")
    [problem] = await folder.problems()
    verification = Verification(folder.files, folder.blobs)
    assert await verification.parse_again(problem)
    found = await folder.files.get(WORKSPACE, file.id)
    assert found is not None
    assert found.status == FileStatus.UPLOADED
