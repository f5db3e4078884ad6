"""What every ``BlobStore`` keeps."""

from __future__ import annotations

import asyncio

import pytest

from factories.storage import put_blob, read_blob
from longscroll.storage.base import BlobStore, blob_prefix

PREFIX = blob_prefix("acme", "file-fe-1")
NAME = PREFIX + "original"


async def test_an_adopted_blob_is_read_back_whole_and_its_staged_path_is_gone(blobs: BlobStore) -> None:
    content = bytes(range(256)) * 20_000
    staged = await put_blob(blobs, NAME, content)
    assert await read_blob(blobs, NAME) == content
    assert not staged.exists()


async def test_a_blob_is_streamed_in_blocks(blobs: BlobStore) -> None:
    await put_blob(blobs, NAME, b"x" * 1_000_000)
    sizes = [len(block) async for block in await blobs.read(NAME, block_bytes=300_000)]
    assert len(sizes) > 1
    assert sum(sizes) == 1_000_000


async def test_an_empty_blob_is_a_blob(blobs: BlobStore) -> None:
    await put_blob(blobs, NAME, b"")
    assert await read_blob(blobs, NAME) == b""
    assert await blobs.list_names(PREFIX) == [NAME]


async def test_a_blob_can_be_opened_by_its_local_path(blobs: BlobStore) -> None:
    await put_blob(blobs, NAME, b"mapped")
    path = await blobs.local_path(NAME)
    assert path is not None
    assert path.read_bytes() == b"mapped"


async def test_what_was_never_adopted_is_not_there(blobs: BlobStore) -> None:
    blobs.staging_path().write_bytes(b"half an upload")
    assert await blobs.local_path(NAME) is None
    assert await blobs.list_names("w/") == []
    with pytest.raises(FileNotFoundError):
        await blobs.read(NAME)


async def test_adopting_a_name_again_replaces_the_blob_whole(blobs: BlobStore) -> None:
    await put_blob(blobs, NAME, b"first attempt, longer")
    old = await blobs.read(NAME)
    await put_blob(blobs, NAME, b"second attempt")
    assert await read_blob(blobs, NAME) == b"second attempt"
    assert b"".join([block async for block in old]) == b"first attempt, longer"


async def test_deletion_takes_one_files_blobs_and_no_others(blobs: BlobStore) -> None:
    kept = [blob_prefix("acme", "file-fe-11") + "original", blob_prefix("umbrella", "file-fe-1") + "original"]
    for name in (NAME, PREFIX + "artifact", PREFIX + "pages/1.png", *kept):
        await put_blob(blobs, name, b"content")
    await blobs.delete_prefix(PREFIX)
    assert await blobs.list_names("w/") == kept


async def test_a_folder_within_a_file_can_be_deleted_by_itself(blobs: BlobStore) -> None:
    for name in (NAME, PREFIX + "preview/artifact", PREFIX + "previews"):
        await put_blob(blobs, name, b"content")
    await blobs.delete_prefix(PREFIX + "preview/")
    assert await blobs.list_names(PREFIX) == [NAME, PREFIX + "previews"]
    await put_blob(blobs, PREFIX + "preview/artifact", b"more")
    assert await read_blob(blobs, PREFIX + "preview/artifact") == b"more"


async def test_sweeping_leaves_what_the_living_stage(blobs: BlobStore) -> None:
    staged = blobs.staging_path()
    staged.write_bytes(b"half an upload")
    await blobs.sweep_staging()
    await blobs.adopt(staged, NAME)
    assert await read_blob(blobs, NAME) == b"half an upload"


async def test_deleting_nothing_is_no_error(blobs: BlobStore) -> None:
    await blobs.delete_prefix(PREFIX)
    assert await blobs.list_names(PREFIX) == []


async def test_a_stream_that_has_begun_survives_the_deletion(blobs: BlobStore) -> None:
    content = b"y" * 3_000_000
    await put_blob(blobs, NAME, content)
    stream = await blobs.read(NAME, block_bytes=100_000)
    first = await anext(stream)
    await blobs.delete_prefix(PREFIX)
    assert first + b"".join([block async for block in stream]) == content


async def test_names_are_listed_by_file_by_workspace_and_all(blobs: BlobStore) -> None:
    names = [blob_prefix(workspace, "file-fe-1") + "original" for workspace in ("acme", "umbrella")]
    for name in names:
        await put_blob(blobs, name, b"content")
    assert await blobs.list_names("w/") == names
    assert await blobs.list_names("w/umbrella/") == names[1:]
    assert await blobs.list_names(blob_prefix("acme", "file-fe-1")) == names[:1]


async def test_many_files_of_a_workspace_come_and_go_beside_each_other(blobs: BlobStore) -> None:
    async def come_and_go(number: int) -> None:
        prefix = blob_prefix("acme", f"file-fe-{number}")
        await put_blob(blobs, prefix + "original", b"content")
        await blobs.delete_prefix(prefix)

    await asyncio.gather(*(come_and_go(number) for number in range(40)))
    assert await blobs.list_names("w/") == []


async def test_a_blob_that_is_deleted_while_it_is_adopted_is_there_or_gone(blobs: BlobStore) -> None:
    for _ in range(20):
        await asyncio.gather(put_blob(blobs, NAME, b"content"), blobs.delete_prefix(PREFIX))
    await blobs.delete_prefix(PREFIX)
    assert await blobs.list_names(PREFIX) == []


async def test_two_deletions_of_one_file_at_once_both_end_well(blobs: BlobStore) -> None:
    for part in range(20):
        await put_blob(blobs, f"{PREFIX}part-{part}", b"content")
    await asyncio.gather(*(blobs.delete_prefix(PREFIX) for _ in range(3)))
    assert await blobs.list_names(PREFIX) == []


@pytest.mark.parametrize(
    "name",
    ["w/acme/f/file-fe-1/../original", "w/../f/x/original", "/etc/passwd", "staging/x", "w/acme/f/file-fe-1", ""],
)
async def test_a_name_outside_of_a_files_prefix_is_refused(blobs: BlobStore, name: str) -> None:
    staged = blobs.staging_path()
    staged.write_bytes(b"content")
    with pytest.raises(ValueError, match="does not name"):
        await blobs.adopt(staged, name)
    with pytest.raises(ValueError, match="does not name"):
        await blobs.local_path(name)


@pytest.mark.parametrize("prefix", ["", "w/", "w/acme/", "w/acme/f/", "w/acme/f/file-fe-1", "w/acme/f/file-fe-1/../"])
async def test_nothing_wider_than_one_file_can_be_deleted(blobs: BlobStore, prefix: str) -> None:
    await put_blob(blobs, NAME, b"content")
    with pytest.raises(ValueError, match="does not name"):
        await blobs.delete_prefix(prefix)
    assert await blobs.list_names("w/") == [NAME]
