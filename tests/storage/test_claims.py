"""What every ``FileStore`` keeps as the queue of ingestion: one holder, fences, leases, publish by compare-and-set."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from factories.storage import NOON, WORKSPACE, make_file
from longscroll.errors import DocumentErrorKind
from longscroll.storage.base import Claim, FileStore, Outcome
from longscroll.types import FileStatus

PROCESSED = Outcome(status=FileStatus.PROCESSED, n_pages=3, n_chars=900, n_tokens=300)
LEASE_S = 30.0


async def claim(files: FileStore, *, owner: str = "parser-1", after_s: float = 0) -> Claim | None:
    return await files.claim(owner, now=NOON + timedelta(seconds=after_s), lease_s=LEASE_S)


async def claimed(files: FileStore, *, owner: str = "parser-1", after_s: float = 0) -> Claim:
    taken = await claim(files, owner=owner, after_s=after_s)
    assert taken is not None
    return taken


async def test_a_claim_names_its_owner_its_fence_and_its_end(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    assert taken == Claim(
        file=replace(file, attempt=1), owner="parser-1", fence=1, lease_until=NOON + timedelta(seconds=LEASE_S)
    )


async def test_with_nothing_waiting_there_is_nothing_to_claim(files: FileStore) -> None:
    assert await claim(files) is None


async def test_small_files_are_claimed_first_and_equal_ones_in_upload_order(files: FileStore) -> None:
    added = [await files.add(make_file(size_bytes=size)) for size in (500, 20, 500, 1)]
    order = [(await claimed(files)).file.id for _ in added]
    assert order == [added[n].id for n in (3, 1, 0, 2)]


async def test_many_who_claim_at_once_never_share_a_file(files: FileStore) -> None:
    added = [await files.add(make_file()) for _ in range(10)]
    taken = await asyncio.gather(*(claim(files, owner=f"parser-{n}") for n in range(25)))
    assert sorted(c.file.id for c in taken if c is not None) == sorted(file.id for file in added)


async def test_a_lease_holds_until_its_last_moment(files: FileStore) -> None:
    await files.add(make_file())
    await claimed(files)
    assert await claim(files, owner="parser-2", after_s=LEASE_S - 0.000001) is None
    second = await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert (second.fence, second.file.attempt) == (2, 2)


async def test_a_renewed_lease_holds_longer(files: FileStore) -> None:
    await files.add(make_file())
    first = await claimed(files)
    assert await files.renew(first, now=NOON + timedelta(seconds=20), lease_s=LEASE_S) is True
    assert await claim(files, owner="parser-2", after_s=40) is None
    assert await claim(files, owner="parser-2", after_s=50) is not None


async def test_a_late_holder_may_renew_while_nobody_else_has_claimed(files: FileStore) -> None:
    await files.add(make_file())
    late = await claimed(files)
    assert await files.renew(late, now=NOON + timedelta(seconds=100), lease_s=LEASE_S) is True


async def test_publishing_writes_the_final_state_once(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    assert await files.publish(taken, PROCESSED) is True
    assert await files.get(WORKSPACE, file.id) == replace(
        file, status=FileStatus.PROCESSED, n_pages=3, n_chars=900, n_tokens=300, attempt=1
    )
    assert await files.publish(taken, Outcome(status=FileStatus.ERROR)) is False
    assert await claim(files, after_s=3600) is None


async def test_an_error_is_published_with_its_kind_and_its_sentence(files: FileStore) -> None:
    file = await files.add(make_file())
    outcome = Outcome(
        status=FileStatus.ERROR, status_details="A password is needed.", error_kind=DocumentErrorKind.ENCRYPTED
    )
    await files.publish(await claimed(files), outcome)
    found = await files.get(WORKSPACE, file.id)
    assert found == replace(
        file,
        status=FileStatus.ERROR,
        status_details="A password is needed.",
        error_kind=DocumentErrorKind.ENCRYPTED,
        attempt=1,
    )


async def test_a_lost_claim_can_neither_renew_nor_publish(files: FileStore) -> None:
    file = await files.add(make_file())
    lost = await claimed(files)
    holder = await claimed(files, owner="parser-2", after_s=LEASE_S)
    assert await files.renew(lost, now=NOON, lease_s=LEASE_S) is False
    assert await files.publish(lost, Outcome(status=FileStatus.ERROR)) is False
    assert await files.publish(holder, PROCESSED) is True
    found = await files.get(WORKSPACE, file.id)
    assert found is not None
    assert found.status is FileStatus.PROCESSED


async def test_an_owner_that_claims_its_own_file_again_loses_the_first_claim(files: FileStore) -> None:
    await files.add(make_file())
    first = await claimed(files)
    second = await claimed(files, after_s=LEASE_S)
    assert [await files.publish(first, PROCESSED), await files.publish(second, PROCESSED)] == [False, True]


async def test_deletion_takes_a_claim_away(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    await files.mark_deleting(WORKSPACE, file.id)
    assert await files.renew(taken, now=NOON, lease_s=LEASE_S) is False
    assert await files.publish(taken, PROCESSED) is False
    assert await claim(files, after_s=3600) is None
    assert [left.status for left in await files.being_deleted()] == [FileStatus.DELETING]


async def test_a_removed_file_cannot_be_published(files: FileStore) -> None:
    file = await files.add(make_file())
    taken = await claimed(files)
    await files.mark_deleting(WORKSPACE, file.id)
    await files.remove(WORKSPACE, file.id)
    assert await files.publish(taken, PROCESSED) is False


async def test_a_claim_that_is_given_back_costs_no_attempt_and_holds_nothing(files: FileStore) -> None:
    file = await files.add(make_file())
    given_back = await claimed(files)
    await files.release(given_back)
    assert await files.get(WORKSPACE, file.id) == file
    assert await files.publish(given_back, PROCESSED) is False
    next_one = await claimed(files, owner="parser-2")
    assert (next_one.fence, next_one.file.attempt) == (2, 1)


async def test_giving_back_a_lost_claim_leaves_its_new_holder_alone(files: FileStore) -> None:
    await files.add(make_file())
    lost = await claimed(files)
    holder = await claimed(files, owner="parser-2", after_s=LEASE_S)
    await files.release(lost)
    assert await files.publish(holder, PROCESSED) is True
