"""The real stores on a disk of two megabytes: what is said when it is full, and what works again afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories.small_disk import SmallDisk, small_disk
from factories.storage import NOON, WORKSPACE, make_file, make_key, put_blob, read_blob
from longscroll.errors import StartupError, StorageFull
from longscroll.storage.base import blob_prefix
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.reserve import RESERVE_BYTES, Reserve

NAME = blob_prefix(WORKSPACE, "file-fe-1") + "original"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path) as disk:
        yield disk


async def fill_log(database: Database) -> None:
    """Add files until there is no room; the log has some of its own."""
    while True:
        await database.files.add(make_file())


async def test_on_a_full_disk_writes_are_refused_reads_go_on_and_space_heals(disk: SmallDisk) -> None:
    async with Database(disk.folder / "longscroll.db") as database:
        first = await database.files.add(make_file())
        await asyncio.to_thread(disk.fill)
        with pytest.raises(StorageFull):
            await fill_log(database)
        before = await database.files.totals(WORKSPACE)
        assert await database.files.get(WORKSPACE, first.id) == first
        await asyncio.to_thread(disk.empty)
        assert (await database.files.add(make_file())).sequence == before[0] + 1


async def test_a_file_is_deleted_on_a_disk_without_one_free_block(disk: SmallDisk) -> None:
    async with Database(disk.folder / "longscroll.db") as database:
        file = await database.files.add(make_file())
        await asyncio.to_thread(disk.fill)
        with pytest.raises(StorageFull):
            await fill_log(database)
        assert await database.files.mark_deleting(WORKSPACE, file.id)
        await database.files.remove(WORKSPACE, file.id)
        assert await database.files.being_deleted() == []


async def test_a_key_is_revoked_on_a_disk_without_one_free_block(disk: SmallDisk) -> None:
    async with Database(disk.folder / "longscroll.db") as database:
        key = make_key()
        await database.keys.add_key(key)
        await asyncio.to_thread(disk.fill)
        with pytest.raises(StorageFull):
            await fill_log(database)
        assert await database.keys.revoke_key(key.id, now=NOON) is True
        found = await database.keys.find_key(key.digest)
        assert (found and found.revoked_at) == NOON


def test_a_reserve_that_finds_no_room_is_kept_when_there_is_some(disk: SmallDisk) -> None:
    reserve = disk.folder / "reserve"
    disk.leave(RESERVE_BYTES // 2)
    Reserve(reserve).keep()
    assert not reserve.exists()
    disk.empty()
    Reserve(reserve).keep()
    assert reserve.stat().st_size == RESERVE_BYTES


async def test_a_blob_that_has_no_room_is_refused_and_the_others_are_read(disk: SmallDisk) -> None:
    async with LocalBlobs(disk.folder) as blobs:
        await put_blob(blobs, NAME, b"content")
        staged = blobs.staging_path()
        staged.touch()
        await asyncio.to_thread(disk.fill)
        with pytest.raises(StorageFull):
            await blobs.adopt(staged, blob_prefix(WORKSPACE, "file-fe-2") + "original")
        assert await read_blob(blobs, NAME) == b"content"
        await blobs.delete_prefix(blob_prefix(WORKSPACE, "file-fe-1"))
        await blobs.adopt(staged, NAME)
        assert await blobs.list_names("w/") == [NAME]


async def test_a_start_on_a_full_disk_says_what_is_wrong(disk: SmallDisk) -> None:
    await asyncio.to_thread(disk.fill)
    os.truncate(disk.folder / "filler", 2_000_000)
    with pytest.raises(StartupError, match=r"longscroll\.db cannot be opened as a database"):
        await Database(disk.folder / "longscroll.db").open()
