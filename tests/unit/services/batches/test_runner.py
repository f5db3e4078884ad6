"""Batches from their creation to their files, whatever comes between."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import pytest

from factories.batches import BatchWorld, batch_world, custom_ids, make_line
from factories.storage import NOON, WORKSPACE
from longscroll.errors import StorageFull
from longscroll.services.batches.base import BatchOptions
from longscroll.storage.batches import Batch, BatchClaim, BatchStatus
from longscroll.storage.memory import MemoryPresence
from longscroll.storage.memory_batches import MemoryBatches

WINDOW = timedelta(hours=24)


def lines(*custom_ids: str) -> list[dict[str, object]]:
    return [make_line(custom_id) for custom_id in custom_ids]


class ForgetfulBatches(MemoryBatches):
    """Does not take the first word of files: the disk is full, or the claim is another's by then."""

    def __init__(self, *, loses_claim: bool = False) -> None:
        super().__init__()
        self.n_forgotten = 0
        self._loses_claim = loses_claim

    async def advance(self, claim: BatchClaim, batch: Batch, *, was: BatchStatus) -> bool:
        if batch.output_file_id is not None and not self.n_forgotten:
            self.n_forgotten += 1
            if not self._loses_claim:
                raise StorageFull("No space is left.")
            await self.forfeit({claim.owner})
        return await super().advance(claim, batch, was=was)


async def under_way(world: BatchWorld, *custom_ids: str) -> Batch:
    """Have a batch whose first lines are being answered, and held up."""
    world.lines.gate.clear()
    batch = await world.submit(*lines(*custom_ids))
    await world.until(batch, lambda found: found.status is BatchStatus.IN_PROGRESS)
    async with asyncio.timeout(5):
        while not world.lines.asked:
            await asyncio.sleep(0.005)
    return batch


@pytest.mark.item(116)
async def test_every_line_is_answered_once_in_the_order_of_the_input() -> None:
    async with batch_world() as world, world.runner():
        ended = await world.ended(await world.submit(*lines("a", "b", "c", "d", "e")))
    assert (ended.batch.status, ended.batch.errors) == (BatchStatus.COMPLETED, ())
    assert (ended.batch.n_total, ended.batch.n_completed, ended.batch.n_failed) == (5, 5, 0)
    assert (custom_ids(ended.output), ended.errors) == (["a", "b", "c", "d", "e"], [])
    assert (ended.batch.error_file_id, world.lines.most_running) == (None, 2)


async def test_the_moments_of_a_batch_stand_in_their_order() -> None:
    async with batch_world() as world, world.runner():
        batch = (await world.ended(await world.submit(*lines("a")))).batch
    assert (batch.in_progress_at, batch.finalizing_at, batch.completed_at) == (NOON, NOON, NOON)
    assert (batch.failed_at, batch.expired_at, batch.cancelling_at, batch.cancelled_at) == (None, None, None, None)


async def test_replies_that_are_no_answers_stand_in_the_error_file() -> None:
    async with batch_world() as world, world.runner():
        world.lines.statuses = {"b": [400], "c": [401]}
        ended = await world.ended(await world.submit(*lines("a", "b", "c")))
    assert (custom_ids(ended.output), custom_ids(ended.errors)) == (["a"], ["b", "c"])
    assert (ended.batch.status, ended.batch.n_completed, ended.batch.n_failed) == (BatchStatus.COMPLETED, 1, 2)


async def test_a_batch_without_an_answer_has_no_output_file() -> None:
    async with batch_world() as world, world.runner():
        world.lines.statuses = {"a": [400]}
        ended = await world.ended(await world.submit(*lines("a")))
    assert (ended.batch.output_file_id, custom_ids(ended.errors)) == (None, ["a"])


async def test_an_input_with_faults_is_not_begun() -> None:
    async with batch_world() as world, world.runner():
        ended = await world.ended(await world.submit(*lines("a", "a")))
    assert (ended.batch.status, ended.batch.failed_at, world.lines.asked) == (BatchStatus.FAILED, NOON, [])
    assert [fault.code for fault in ended.batch.errors] == ["duplicate_custom_id"]
    assert (ended.batch.n_total, ended.ids) == (0, [])


async def test_replies_are_forgotten_when_they_are_in_the_files() -> None:
    store = MemoryBatches()
    async with batch_world(store=store) as world, world.runner():
        await world.ended(await world.submit(*lines("a", "b")))
    assert [row.results for row in store._rows.values()] == [{}]


async def test_a_canceled_batch_keeps_what_is_answered_and_tells_the_rest() -> None:
    async with batch_world() as world, world.runner():
        batch = await under_way(world, "a", "b", "c", "d")
        await world.service.cancel(WORKSPACE, batch.id)
        await asyncio.sleep(0.05)  # a renewal notices it
        world.lines.gate.set()
        ended = await world.ended(batch)
    assert (ended.batch.status, ended.batch.cancelled_at) == (BatchStatus.CANCELLED, NOON)
    assert (custom_ids(ended.output), custom_ids(ended.errors)) == (["a", "b"], ["c", "d"])
    assert [record["error"] for record in ended.errors] == ["batch_cancelled"] * 2
    assert (ended.batch.n_completed, ended.batch.n_failed) == (2, 2)


async def test_a_line_that_does_not_end_holds_a_cancellation_up_for_a_while_only() -> None:
    async with batch_world() as world, world.runner():
        batch = await under_way(world, "a", "b", "c")
        await world.service.cancel(WORKSPACE, batch.id)
        ended = await world.ended(batch)
    assert (ended.batch.status, ended.output) == (BatchStatus.CANCELLED, [])
    assert sorted(custom_ids(ended.errors)) == ["a", "b", "c"]


async def test_a_batch_that_nobody_began_is_canceled() -> None:
    async with batch_world() as world:
        batch = await world.submit(*lines("a"))
        await world.service.cancel(WORKSPACE, batch.id)
        async with world.runner():
            ended = await world.ended(batch)
    assert (ended.batch.status, ended.ids, world.lines.asked) == (BatchStatus.CANCELLED, [], [])


async def test_when_the_window_ends_the_lines_that_were_not_asked_say_so() -> None:
    async with batch_world() as world, world.runner():
        batch = await under_way(world, "a", "b", "c", "d")
        world.now = NOON + WINDOW
        world.lines.gate.set()
        ended = await world.ended(batch)
    assert (ended.batch.status, ended.batch.expired_at) == (BatchStatus.EXPIRED, NOON + WINDOW)
    assert (custom_ids(ended.output), custom_ids(ended.errors)) == (["a", "b"], ["c", "d"])
    assert [record["error"] for record in ended.errors] == ["batch_expired"] * 2


async def test_an_input_that_is_deleted_ends_its_batch_and_keeps_the_answers() -> None:
    async with batch_world() as world, world.runner():
        batch = await under_way(world, "a", "b", "c", "d")
        await world.files.delete(WORKSPACE, batch.input_file_id)
        await asyncio.sleep(0.05)  # a renewal notices it
        world.lines.gate.set()
        ended = await world.ended(batch)
    assert (ended.batch.status, custom_ids(ended.output), ended.errors) == (BatchStatus.FAILED, ["a", "b"], [])
    assert [fault.code for fault in ended.batch.errors] == ["input_file_deleted"]


async def test_lines_that_are_no_longer_served_fail_their_batch() -> None:
    async with batch_world(limits=BatchOptions(concurrency=1)) as world, world.runner():
        batch = await under_way(world, "a", "b", "c")
        world.lines.refused = {"c"}  # a new version may not serve what the last one did
        world.lines.gate.set()
        ended = await world.ended(batch)
    assert (ended.batch.status, [fault.code for fault in ended.batch.errors]) == (
        BatchStatus.FAILED,
        ["invalid_json_line"],
    )
    assert (custom_ids(ended.output), ended.errors) == (["a", "b"], [])


async def test_an_input_that_is_deleted_before_the_check_fails_the_batch() -> None:
    async with batch_world() as world:
        batch = await world.submit(*lines("a"))
        await world.files.delete(WORKSPACE, batch.input_file_id)
        async with world.runner():
            ended = await world.ended(batch)
    assert (ended.batch.status, [fault.code for fault in ended.batch.errors]) == (
        BatchStatus.FAILED,
        ["input_file_deleted"],
    )


async def test_a_line_whose_model_is_busy_is_asked_again_as_the_same_request() -> None:
    async with batch_world() as world, world.runner():
        world.lines.statuses = {"a": [503, 200]}
        ended = await world.ended(await world.submit(*lines("a")))
    assert (custom_ids(ended.output), world.lines.asked) == (["a"], ["a", "a"])
    assert len(set(world.lines.request_ids)) == 1


async def test_a_model_that_stays_away_is_waited_for_in_vain() -> None:
    async with batch_world(retry_s=0.0) as world, world.runner():
        world.lines.statuses = {"a": [503]}
        ended = await world.ended(await world.submit(*lines("a")))
    assert (ended.errors, world.lines.asked) == ([{"custom_id": "a", "status": 503}], ["a"])


async def test_on_a_full_disk_a_batch_pauses_and_goes_on() -> None:
    async with batch_world() as world, world.runner():
        world.lines.n_full = 2
        ended = await world.ended(await world.submit(*lines("a", "b", "c")))
    assert (ended.batch.status, ended.ids) == (BatchStatus.COMPLETED, ["a", "b", "c"])


async def test_what_is_stopped_goes_on_behind_the_lines_that_have_a_reply() -> None:
    async with batch_world(limits=BatchOptions(concurrency=1)) as world:
        world.lines.held = {"b"}
        world.lines.gate.clear()
        batch = await world.submit(*lines("a", "b", "c"))
        async with world.runner():
            await world.until(batch, lambda found: found.n_completed == 1)
            await asyncio.sleep(0.05)  # the second line is asked, and will be cut off
        world.lines.gate.set()
        async with world.runner():
            ended = await world.ended(batch)
    assert (ended.ids, world.lines.asked) == (["a", "b", "c"], ["a", "b", "b", "c"])
    assert len(set(world.lines.request_ids)) == 3


async def test_a_drained_runner_lets_lines_end_and_begins_none() -> None:
    async with batch_world() as world, world.runner() as runner:
        batch = await under_way(world, "a", "b", "c")
        runner.drain()
        world.lines.gate.set()
        await world.until(batch, lambda found: found.n_completed == 2)
        await asyncio.sleep(0.1)
        assert (world.lines.asked, await world.store.owners()) == (["a", "b"], set())


async def test_what_a_dead_process_held_is_taken_up_at_once() -> None:
    async with batch_world() as world:
        batch = await world.submit(*lines("a"))
        await world.store.claim("dead", now=NOON, lease_s=3600)
        async with world.runner():
            ended = await world.ended(batch)
    assert ended.batch.status is BatchStatus.COMPLETED


async def test_who_has_lost_a_batch_writes_nothing_more() -> None:
    async with batch_world() as world:
        owners = {"first", "second"}
        first, second = (world.runner(presence=MemoryPresence(owners, owner=owner)) for owner in ("first", "second"))
        async with first:
            batch = await under_way(world, "a", "b")
            world.lines.gate.set()
            await world.store.forfeit(await world.store.owners())
            async with second:
                ended = await world.ended(batch)
    assert (ended.batch.status, ended.ids) == (BatchStatus.COMPLETED, ["a", "b"])
    assert (ended.batch.n_completed, ended.batch.n_failed) == (2, 0)


async def test_files_that_were_made_and_not_said_are_made_anew() -> None:
    store = ForgetfulBatches()
    async with batch_world(store=store) as world, world.runner():
        ended = await world.ended(await world.submit(*lines("a")))
        n_files, _ = await world.files.files.totals(WORKSPACE)
    assert (store.n_forgotten, ended.ids, n_files) == (1, ["a"], 2)


async def test_who_finishes_too_late_leaves_the_files_of_the_other_alone() -> None:
    store = ForgetfulBatches(loses_claim=True)
    async with batch_world(store=store) as world, world.runner():
        ended = await world.ended(await world.submit(*lines("a", "b")))
        await asyncio.sleep(0.05)
        n_files, _ = await world.files.files.totals(WORKSPACE)
    assert (store.n_forgotten, ended.ids, n_files) == (1, ["a", "b"], 2)


async def test_batches_take_turns_line_by_line() -> None:
    async with batch_world(limits=BatchOptions(concurrency=1)) as world:
        world.lines.gate.clear()
        long = await world.submit(*lines("a", "b", "c"))
        async with world.runner():
            await world.until(long, lambda found: found.status is BatchStatus.IN_PROGRESS)
            short = await world.submit(*lines("short"))
            await world.until(short, lambda found: found.status is BatchStatus.IN_PROGRESS)
            await asyncio.sleep(0.05)  # its line waits for a place
            world.lines.gate.set()
            await world.ended(short)
            await world.ended(long)
    assert world.lines.asked == ["a", "short", "b", "c"]


async def test_a_bug_in_the_answering_pauses_the_runner_and_is_told() -> None:
    async with batch_world() as world, world.runner():
        world.lines.statuses = {"a": [200]}
        broken, world.lines.answer = world.lines.answer, None  # type: ignore[assignment, method-assign]
        batch = await world.submit(*lines("a"))
        await asyncio.sleep(0.1)
        world.lines.answer = broken  # type: ignore[method-assign]
        ended = await world.ended(batch)
        gc.collect()  # no exception of a line under way may be left unread
    assert ended.batch.status is BatchStatus.COMPLETED
