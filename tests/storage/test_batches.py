"""What a batch store promises, of the memory twin and of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from factories.batches import make_batch
from factories.storage import NOON, WORKSPACE
from longscroll.storage.batches import (
    Batch,
    BatchClaim,
    BatchFault,
    BatchFilter,
    BatchStatus,
    BatchStore,
    LineResult,
)
from longscroll.storage.database import Database
from longscroll.storage.memory_batches import MemoryBatches

LEASE_S = 5.0


@pytest.fixture(params=["memory", "sqlite"])
async def batches(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BatchStore]:
    if request.param == "memory":
        yield MemoryBatches()
        return
    async with Database(tmp_path / "longscroll.db") as database:
        yield database.batches


async def claim(batches: BatchStore, owner: str = "one", *, after_s: float = 0) -> BatchClaim | None:
    return await batches.claim(owner, now=NOON + timedelta(seconds=after_s), lease_s=LEASE_S)


async def claimed(batches: BatchStore, **fields: object) -> BatchClaim:
    """Add a batch that is in progress and claim it."""
    await batches.add(make_batch(status=BatchStatus.IN_PROGRESS, **fields))
    found = await claim(batches)
    assert found is not None
    return found


def result(line: int, *, is_failed: bool = False, record: bytes = b"{}") -> LineResult:
    return LineResult(line=line, is_failed=is_failed, record=record)


async def ids(batches: BatchStore, *, after: str | None = None, limit: int = 10, **which: object) -> list[str]:
    found, _ = await batches.page(WORKSPACE, which=BatchFilter(**which), after=after, limit=limit)  # type: ignore[arg-type]
    return [batch.id for batch in found]


async def test_a_batch_is_found_as_it_was_added(batches: BatchStore) -> None:
    batch = make_batch(
        metadata={"ds_name": "周报"},
        name="周报",
        errors=(BatchFault(code="url_not_found", message="No.", param="url", line=2),),
        cancelling_at=NOON,
        n_total=3,
    )
    added = await batches.add(batch)
    assert added == replace(batch, sequence=1)
    assert await batches.get(batch.workspace, batch.id) == added


async def test_a_foreign_batch_is_a_missing_one(batches: BatchStore) -> None:
    batch = await batches.add(make_batch())
    assert await batches.get("umbrella", batch.id) is None
    assert await batches.cancel("umbrella", batch.id, now=NOON) is None
    assert await batches.page("umbrella", which=BatchFilter(), after=None, limit=10) == ([], False)
    assert await batches.get(batch.workspace, batch.id) == batch


async def test_an_id_is_taken_once(batches: BatchStore) -> None:
    batch = await batches.add(make_batch())
    with pytest.raises(ValueError, match="already"):
        await batches.add(batch)


async def test_pages_begin_with_the_newest_and_go_on_behind_the_last(batches: BatchStore) -> None:
    added = [(await batches.add(make_batch())).id for _ in range(3)]
    page, has_more = await batches.page(WORKSPACE, which=BatchFilter(), after=None, limit=2)
    assert ([batch.id for batch in page], has_more) == ([added[2], added[1]], True)
    assert await ids(batches, after=added[1]) == [added[0]]
    assert await ids(batches, after="batch_unknown") == []


async def test_a_listing_shows_what_is_asked_for(batches: BatchStore) -> None:
    late = NOON + timedelta(hours=1)
    one = await batches.add(make_batch(name="Weekly 50%_a", input_file_id="file-batch-one", created_at=late))
    two = await batches.add(make_batch(status=BatchStatus.COMPLETED))
    assert await ids(batches, name_part="weekly 50%_") == [one.id]
    assert await ids(batches, name_part="weekly%a") == []
    assert await ids(batches, input_file_ids=("file-batch-one", "file-batch-two")) == [one.id]
    assert await ids(batches, statuses=(BatchStatus.COMPLETED, BatchStatus.FAILED)) == [two.id]
    assert await ids(batches, created_after=NOON) == [one.id]
    assert await ids(batches, created_before=late) == [two.id]


@pytest.mark.parametrize("status", [BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS])
async def test_a_cancellation_stays(batches: BatchStore, status: BatchStatus) -> None:
    batch = await batches.add(make_batch(status=status))
    canceled = await batches.cancel(WORKSPACE, batch.id, now=NOON)
    assert canceled == replace(batch, status=BatchStatus.CANCELLING, cancelling_at=NOON)
    assert await batches.cancel(WORKSPACE, batch.id, now=NOON + timedelta(seconds=1)) == canceled


@pytest.mark.parametrize("status", [BatchStatus.FINALIZING, BatchStatus.COMPLETED])
async def test_what_is_about_to_end_is_not_canceled(batches: BatchStore, status: BatchStatus) -> None:
    batch = await batches.add(make_batch(status=status))
    assert await batches.cancel(WORKSPACE, batch.id, now=NOON) == batch


async def test_each_unfinished_batch_is_claimed_once(batches: BatchStore) -> None:
    first = await batches.add(make_batch())
    await batches.add(make_batch(status=BatchStatus.EXPIRED))
    second = await batches.add(make_batch(status=BatchStatus.CANCELLING))
    claims = [await claim(batches) for _ in range(3)]
    assert [found and found.batch for found in claims] == [first, second, None]


async def test_the_workspace_with_the_fewest_claims_comes_first(batches: BatchStore) -> None:
    await batches.add(make_batch())
    await batches.add(make_batch())
    other = await batches.add(make_batch(workspace="umbrella"))
    await claim(batches)
    found = await claim(batches)
    assert found is not None
    assert found.batch == other


async def test_a_claim_that_ran_out_is_lost_to_the_next(batches: BatchStore) -> None:
    old = await claimed(batches)
    new = await claim(batches, "two", after_s=LEASE_S)
    assert new is not None
    assert new.fence > old.fence
    assert await batches.renew(old, now=NOON, lease_s=LEASE_S) is None
    assert not await batches.advance(old, replace(old.batch, n_total=9), was=old.batch.status)
    assert not await batches.add_result(old, result(1))
    assert await batches.renew(new, now=NOON, lease_s=LEASE_S) == new.batch


async def test_a_renewed_claim_is_kept_and_says_what_became_of_the_batch(batches: BatchStore) -> None:
    held = await claimed(batches)
    await batches.cancel(WORKSPACE, held.batch.id, now=NOON)
    renewed = await batches.renew(held, now=NOON + timedelta(seconds=3), lease_s=LEASE_S)
    assert renewed is not None
    assert renewed.status is BatchStatus.CANCELLING
    assert await claim(batches, "two", after_s=LEASE_S) is None


async def test_a_batch_advances_only_from_where_it_was_seen(batches: BatchStore) -> None:
    held = await claimed(batches)
    done = replace(held.batch, status=BatchStatus.FINALIZING, finalizing_at=NOON, output_file_id="file-batch_output-1")
    await batches.cancel(WORKSPACE, held.batch.id, now=NOON)
    assert not await batches.advance(held, done, was=BatchStatus.IN_PROGRESS)
    assert await batches.advance(held, done, was=BatchStatus.CANCELLING)
    assert await batches.get(WORKSPACE, held.batch.id) == done


async def test_a_released_batch_is_free_at_once(batches: BatchStore) -> None:
    held = await claimed(batches)
    await batches.release(held)
    assert await claim(batches, "two") is not None


async def test_who_lost_a_claim_releases_nothing(batches: BatchStore) -> None:
    old = await claimed(batches)
    await claim(batches, "two", after_s=LEASE_S)
    await batches.release(old)
    assert await batches.owners() == {"two"}


async def test_the_leases_of_the_dead_end_at_once(batches: BatchStore) -> None:
    await claimed(batches)
    assert await batches.forfeit({"nobody"}) == 0
    assert await batches.forfeit({"one"}) == 1
    assert (await batches.owners(), await claim(batches, "two") is None) == (set(), False)


async def test_a_reply_is_kept_and_counted_once(batches: BatchStore) -> None:
    held = await claimed(batches)
    results = [result(2), result(1, is_failed=True), result(2, is_failed=True, record=b"later")]
    assert [await batches.add_result(held, one) for one in results] == [True, True, True]
    found = await batches.get(WORKSPACE, held.batch.id)
    assert isinstance(found, Batch)
    assert (found.n_completed, found.n_failed) == (1, 1)
    assert await batches.answered(held) == {1, 2}
    assert await batches.results(held, is_failed=False, after=0, limit=9) == [result(2)]


async def test_replies_come_in_the_order_of_their_lines(batches: BatchStore) -> None:
    held = await claimed(batches)
    for line in (5, 1, 3, 2):
        await batches.add_result(held, result(line, is_failed=line == 2))
    assert await batches.results(held, is_failed=False, after=1, limit=1) == [result(3)]
    assert await batches.results(held, is_failed=False, after=3, limit=9) == [result(5)]
    assert await batches.results(held, is_failed=True, after=0, limit=9) == [result(2, is_failed=True)]


async def test_no_reply_is_added_to_what_is_being_written(batches: BatchStore) -> None:
    held = await claimed(batches)
    done = replace(held.batch, status=BatchStatus.FINALIZING)
    assert await batches.advance(held, done, was=BatchStatus.IN_PROGRESS)
    assert not await batches.add_result(held, result(1))
    assert await batches.answered(held) == set()


async def test_replies_are_forgotten_a_few_at_a_time(batches: BatchStore) -> None:
    held, other = await claimed(batches), await claimed(batches)
    for line in (1, 2, 3):
        await batches.add_result(held, result(line))
    await batches.add_result(other, result(1))
    assert [await batches.drop_results(held, limit=2) for _ in range(3)] == [2, 1, 0]
    assert (await batches.answered(held), await batches.answered(other)) == (set(), {1})
