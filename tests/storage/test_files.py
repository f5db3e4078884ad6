"""What every ``FileStore`` keeps: rows, listings, totals, deletion."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from factories.storage import NOON, WORKSPACE, make_file
from longscroll.errors import QuotaExceeded
from longscroll.storage.base import FileFilter, FileStore, Quota
from longscroll.types import File, FileStatus, HeldFiles

EVERYTHING = FileFilter()


async def ids(files: FileStore, *, after: str | None = None, limit: int = 100, ascending: bool = False) -> list[str]:
    found, _ = await files.page(WORKSPACE, which=EVERYTHING, after=after, limit=limit, ascending=ascending)
    return [file.id for file in found]


async def add(files: FileStore, n_files: int) -> list[File]:
    return [await files.add(make_file()) for _ in range(n_files)]


async def test_a_file_comes_back_as_it_was_added_with_its_place_in_the_sequence(files: FileStore) -> None:
    file = make_file(md5="Q2hlY2s=", description="第三季度")
    added = await files.add(file)
    assert added == replace(file, sequence=1)
    assert await files.get(WORKSPACE, file.id) == added


async def test_a_foreign_file_is_indistinguishable_from_a_missing_one(files: FileStore) -> None:
    file = await files.add(make_file(workspace="acme"))
    assert await files.get("umbrella", file.id) is None
    assert await files.mark_deleting("umbrella", file.id) is False
    assert await files.get("acme", file.id) == file


async def test_files_are_counted_by_workspace_and_state(files: FileStore) -> None:
    for workspace, size_bytes in (("acme", 3), ("acme", 4), ("umbrella", 5)):
        last = await files.add(make_file(workspace=workspace, size_bytes=size_bytes))
    await files.mark_deleting("umbrella", last.id)
    acme = HeldFiles(workspace="acme", status=FileStatus.UPLOADED, n_files=2, n_bytes=7)
    umbrella = HeldFiles(workspace="umbrella", status=FileStatus.DELETING, n_files=1, n_bytes=5)
    assert sorted(await files.census(None), key=lambda held: held.workspace) == [acme, umbrella]
    assert await files.census("acme") == [acme]


async def test_many_files_are_had_at_once_less_what_get_would_not_return(files: FileStore) -> None:
    first, deleted, second = await add(files, 3)
    foreign = await files.add(make_file(workspace="umbrella"))
    await files.mark_deleting(WORKSPACE, deleted.id)
    wanted = [second.id, "file-fe-none", deleted.id, first.id, foreign.id, first.id]
    assert await files.get_many(WORKSPACE, wanted) == {first.id: first, second.id: second}
    assert await files.get_many(WORKSPACE, []) == {}


async def test_two_workspaces_may_hold_the_same_id(files: FileStore) -> None:
    mine = await files.add(make_file(workspace="acme", id="file-fe-1"))
    theirs = await files.add(make_file(workspace="umbrella", id="file-fe-1"))
    assert [await files.get("acme", "file-fe-1"), await files.get("umbrella", "file-fe-1")] == [mine, theirs]


async def test_an_id_that_is_taken_is_refused_and_changes_nothing(files: FileStore) -> None:
    file = await files.add(make_file())
    with pytest.raises(ValueError, match=file.id):
        await files.add(make_file(id=file.id, filename="other.txt"))
    assert await files.get(WORKSPACE, file.id) == file


async def test_the_sequence_ascends_over_all_workspaces_and_is_never_used_again(files: FileStore) -> None:
    first = await files.add(make_file(workspace="acme"))
    second = await files.add(make_file(workspace="umbrella"))
    await files.mark_deleting("umbrella", second.id)
    await files.remove("umbrella", second.id)
    third = await files.add(make_file(workspace="acme"))
    assert [first.sequence, second.sequence, third.sequence] == [1, 2, 3]


async def test_pages_run_from_the_newest_to_the_oldest(files: FileStore) -> None:
    added = [file.id for file in await add(files, 5)]
    first, follows = await files.page(WORKSPACE, which=EVERYTHING, after=None, limit=3)
    rest, ends = await files.page(WORKSPACE, which=EVERYTHING, after=first[-1].id, limit=3)
    assert [file.id for file in first + rest] == added[::-1]
    assert (follows, ends) == (True, False)


async def test_pages_run_from_the_oldest_when_asked(files: FileStore) -> None:
    added = [file.id for file in await add(files, 4)]
    assert await ids(files, after=added[1], ascending=True) == added[2:]


async def test_a_full_last_page_says_that_nothing_follows(files: FileStore) -> None:
    await add(files, 2)
    found, follows = await files.page(WORKSPACE, which=EVERYTHING, after=None, limit=2)
    assert (len(found), follows) == (2, False)


async def test_an_unknown_or_foreign_cursor_gives_an_empty_page(files: FileStore) -> None:
    await add(files, 2)
    foreign = await files.add(make_file(workspace="umbrella"))
    assert [await ids(files, after="file-fe-none"), await ids(files, after=foreign.id)] == [[], []]


async def test_a_client_that_deletes_what_it_lists_meets_every_file(files: FileStore) -> None:
    added = [file.id for file in await add(files, 5)]
    met: list[str] = []
    while page := await ids(files, after=met[-1] if met else None, limit=2):
        for file_id in page:
            await files.mark_deleting(WORKSPACE, file_id)
            await files.remove(WORKSPACE, file_id)
        met += page
    assert met == added[::-1]


async def test_a_listing_shows_one_purpose(files: FileStore) -> None:
    batch = await files.add(make_file(purpose="batch"))
    await add(files, 1)
    found, _ = await files.page(WORKSPACE, which=FileFilter(purpose="batch"), after=None, limit=10)
    assert found == [batch]


async def test_the_bounds_of_a_listing_by_time_are_exclusive(files: FileStore) -> None:
    moments = [NOON + timedelta(microseconds=n) for n in range(4)]
    added = [await files.add(make_file(created_at=moment)) for moment in moments]
    which = FileFilter(created_after=moments[0], created_before=moments[3])
    found, _ = await files.page(WORKSPACE, which=which, after=None, limit=10)
    assert found == [added[2], added[1]]


async def test_numbered_pages_come_with_the_total(files: FileStore) -> None:
    added = [file.id for file in await add(files, 5)]
    await files.add(make_file(workspace="umbrella"))
    found, total = await files.numbered_page(WORKSPACE, number=2, size=2)
    beyond = await files.numbered_page(WORKSPACE, number=4, size=2)
    assert ([file.id for file in found], total) == ([added[2], added[1]], 5)
    assert beyond == ([], 5)


async def test_totals_leave_out_what_is_being_deleted_and_other_workspaces(files: FileStore) -> None:
    kept = await files.add(make_file(size_bytes=150 << 20))
    gone = await files.add(make_file(size_bytes=7))
    await files.add(make_file(workspace="umbrella", size_bytes=11))
    await files.mark_deleting(WORKSPACE, gone.id)
    assert await files.totals(WORKSPACE) == (1, kept.size_bytes)
    assert await files.totals("nobody") == (0, 0)


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        (Quota(n_files=3, n_bytes=10**9), "Upload file number exceed limit."),
        (Quota(n_files=99, n_bytes=35), "Upload file capacity exceed limit."),
    ],
)
async def test_files_added_at_once_do_not_exceed_a_quota_together(files: FileStore, quota: Quota, words: str) -> None:
    adding = [files.add(make_file(size_bytes=10), quota=quota) for _ in range(12)]
    ended = await asyncio.gather(
        *adding, files.add(make_file(workspace="umbrella", size_bytes=1), quota=quota), return_exceptions=True
    )
    refused = [str(one) for one in ended if isinstance(one, QuotaExceeded)]
    assert (refused, await files.totals(WORKSPACE)) == ([words] * 9, (3, 30))


async def test_a_file_marked_as_deleting_is_invisible_everywhere_but_to_recovery(files: FileStore) -> None:
    file = await files.add(make_file())
    assert await files.mark_deleting(WORKSPACE, file.id) is True
    assert await files.get(WORKSPACE, file.id) is None
    assert await ids(files) == []
    assert await files.numbered_page(WORKSPACE, number=1, size=9) == ([], 0)
    assert [left.id for left in await files.being_deleted()] == [file.id]


async def test_only_the_first_of_many_deletions_is_told_so(files: FileStore) -> None:
    file = await files.add(make_file())
    told = await asyncio.gather(*(files.mark_deleting(WORKSPACE, file.id) for _ in range(8)))
    assert sorted(told) == [False] * 7 + [True]


async def test_a_row_is_removed_only_after_it_was_marked(files: FileStore) -> None:
    file = await files.add(make_file())
    await files.remove(WORKSPACE, file.id)
    assert await files.get(WORKSPACE, file.id) == file
    await files.mark_deleting(WORKSPACE, file.id)
    await files.remove(WORKSPACE, file.id)
    assert await files.being_deleted() == []


async def test_listing_by_pages_while_files_are_added_shows_each_old_file_once(files: FileStore) -> None:
    before = [file.id for file in await add(files, 20)]
    seen: list[str] = []
    while page := await ids(files, after=seen[-1] if seen else None, limit=3):
        seen += page
        await asyncio.gather(*(files.add(make_file()) for _ in range(4)))
    assert seen == before[::-1]


async def test_following_from_the_oldest_misses_no_file_that_is_added_meanwhile(files: FileStore) -> None:
    async def upload() -> list[str]:
        return [(await files.add(make_file())).id for _ in range(15)]

    uploads = [asyncio.create_task(upload()) for _ in range(4)]
    seen: list[str] = []
    while len(seen) < 60:
        seen += await ids(files, after=seen[-1], limit=7, ascending=True) if seen else await ids(files, ascending=True)
        await asyncio.sleep(0)
    added = [file_id for upload_ids in await asyncio.gather(*uploads) for file_id in upload_ids]
    assert sorted(seen) == sorted(added)


async def test_the_workspaces_that_have_files_are_known_until_the_last_row_is_gone(files: FileStore) -> None:
    [file] = await add(files, 1)
    await files.add(make_file(workspace="umbrella"))
    await files.mark_deleting(WORKSPACE, file.id)
    assert await files.workspaces() == [WORKSPACE, "umbrella"]
    await files.remove(WORKSPACE, file.id)
    assert await files.workspaces() == ["umbrella"]
