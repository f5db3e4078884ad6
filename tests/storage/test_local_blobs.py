"""What blobs on the local disk keep beyond the contract: restarts, neighbors, folders, a full disk."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from factories.storage import put_blob, read_blob
from longscroll.storage.base import blob_prefix
from longscroll.storage.blobs import LocalBlobs
from longscroll.telemetry import Moment, observe_moments

PREFIX = blob_prefix("acme", "file-fe-1")
NAME = PREFIX + "original"
KILLED_WHILE_STAGING = """
import asyncio, os, signal, sys
from pathlib import Path
from longscroll.storage.blobs import LocalBlobs

async def main():
    async with LocalBlobs(Path(sys.argv[1])) as blobs:
        blobs.staging_path().with_name("half an artifact").touch()
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def entries(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "staging" not in path.parts)


def device(path: Path) -> int:
    return path.stat().st_dev


async def test_a_restart_keeps_blobs_and_sweeps_what_was_staged(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        await put_blob(blobs, NAME, b"content")
        staged = blobs.staging_path()
        staged.write_bytes(b"half an upload")
    dead = tmp_path / "staging" / "dead"
    dead.mkdir()
    (dead / "half").write_bytes(b"of a killed process")
    async with LocalBlobs(tmp_path) as blobs:
        assert await read_blob(blobs, NAME) == b"content"
        assert not staged.exists()
        assert not dead.exists()


async def test_a_neighbors_staged_files_are_not_swept_while_it_lives(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as worker:
        staged = worker.staging_path()
        staged.write_bytes(b"half an artifact")
        async with LocalBlobs(tmp_path) as blobs:
            await worker.adopt(staged, NAME)
            assert await read_blob(blobs, NAME) == b"half an artifact"


async def test_what_a_neighbor_that_died_had_staged_is_swept_without_a_restart(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED_WHILE_STAGING, str(tmp_path))
        await process.wait()
        before = [path.name for path in tmp_path.rglob("half an artifact")]
        await blobs.sweep_staging()
        assert (process.returncode, before) == (-9, ["half an artifact"])
        assert list(tmp_path.rglob("half an artifact")) == []
        await put_blob(blobs, NAME, b"content")


async def test_deletion_of_a_folder_within_a_file_keeps_the_rest(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        await put_blob(blobs, NAME, b"content")
        await put_blob(blobs, PREFIX + "preview/artifact", b"content")
        await blobs.delete_prefix(PREFIX + "preview/")
        assert entries(tmp_path / PREFIX) == ["original"]


async def test_deletion_takes_along_what_is_adopted_meanwhile(tmp_path: Path) -> None:
    late = [tmp_path / PREFIX / "artifact"]

    def adopt_late(moment: Moment) -> None:
        if moment == Moment.BLOB_DELETED and late:
            late.pop().write_bytes(b"content")

    async with LocalBlobs(tmp_path) as blobs:
        await put_blob(blobs, NAME, b"content")
        observe_moments(adopt_late)
        await blobs.delete_prefix(PREFIX)
        assert (late, entries(tmp_path)) == ([], [])


async def test_deletion_leaves_no_folder_behind(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        await put_blob(blobs, NAME, b"content")
        await put_blob(blobs, PREFIX + "pages/1.png", b"content")
        (tmp_path / PREFIX / "pages" / "begun").mkdir()
        await blobs.delete_prefix(PREFIX)
        assert entries(tmp_path) == []


async def test_deletion_keeps_the_folders_of_other_files(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        await put_blob(blobs, NAME, b"content")
        await put_blob(blobs, blob_prefix("acme", "file-fe-2") + "original", b"content")
        await blobs.delete_prefix(PREFIX)
        assert entries(tmp_path / "w") == ["acme", "acme/f", "acme/f/file-fe-2", "acme/f/file-fe-2/original"]


async def test_a_folder_that_only_a_crash_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / PREFIX).mkdir(parents=True)
    async with LocalBlobs(tmp_path) as blobs:
        await blobs.delete_prefix(PREFIX)
        assert entries(tmp_path) == []


async def test_staged_files_are_on_the_file_system_of_the_blobs(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        assert device(blobs.staging_path().parent) == device(tmp_path)


async def test_adopting_what_is_not_staged_says_so(tmp_path: Path) -> None:
    async with LocalBlobs(tmp_path) as blobs:
        with pytest.raises(FileNotFoundError):
            await blobs.adopt(blobs.staging_path(), NAME)
        assert await blobs.list_names("w/") == []
