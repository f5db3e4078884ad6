"""What every ``UsageStore`` keeps."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from factories.storage import NOON, make_usage
from longscroll.storage.base import UsageFilter, UsageGroup, UsageRecord, UsageStore, UsageSum

EVERYTHING = UsageFilter()
HOUR = timedelta(hours=1)


def summed(name: str, *rows: UsageRecord) -> UsageSum:
    return UsageSum(
        name=name,
        n_requests=len(rows),
        n_input=sum(row.n_input for row in rows),
        n_output=sum(row.n_output for row in rows),
        n_cached=sum(row.n_cached for row in rows),
        n_read=sum(row.n_read for row in rows),
    )


async def test_a_row_comes_back_as_it_was_added(usage: UsageStore) -> None:
    row = make_usage(
        operation="completion",
        surface="dashscope",
        is_streamed=True,
        n_cached=7,
        n_read=9,
        is_estimated=True,
        file_ids=("file-fe-1", "file-fe-2"),
        outcome="failed",
        code="EngineFailed",
        first_token_ms=1.25,
        total_ms=20.5,
    )
    await usage.add(row)
    assert await usage.latest(EVERYTHING, limit=10) == [row]


async def test_a_later_row_of_the_same_request_takes_the_place_of_the_first(usage: UsageStore) -> None:
    first = make_usage()
    again = replace(first, n_output=99, at=NOON + HOUR)
    foreign = replace(first, workspace="umbrella")
    for row in (first, foreign, again):
        await usage.add(row)
    assert await usage.latest(EVERYTHING, limit=10) == [again, foreign]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("key", ("key-1", "key-2")),
        ("model", ("qwen-long", "qwen-long-latest")),
        ("day", ("2026-02-28", "2026-03-01")),
        ("workspace", ("acme", "umbrella")),
    ],
)
async def test_rows_are_added_up_by_group_in_the_order_of_their_names(
    usage: UsageStore, by: UsageGroup, names: tuple[str, str]
) -> None:
    yesterday = NOON.replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
    ones = [make_usage(key_id="key-1", at=yesterday, n_cached=3), make_usage(key_id="key-1", at=yesterday)]
    other = make_usage(key_id="key-2", model="qwen-long-latest", workspace="umbrella", n_input=5, n_read=4)
    for row in (other, *ones):
        await usage.add(row)
    assert await usage.sums(by, EVERYTHING) == [summed(names[0], *ones), summed(names[1], other)]


async def test_a_period_takes_its_first_moment_and_leaves_its_last(usage: UsageStore) -> None:
    early, first, last = (make_usage(at=NOON + n * HOUR) for n in (-1, 0, 1))
    foreign = make_usage(workspace="umbrella")
    for row in (early, first, last, foreign):
        await usage.add(row)
    which = UsageFilter(workspace="acme", since=NOON, until=NOON + HOUR)
    assert await usage.sums("workspace", which) == [summed("acme", first)]
    assert await usage.latest(which, limit=10) == [first]


async def test_the_latest_come_first_and_no_more_than_asked_for(usage: UsageStore) -> None:
    rows = [make_usage(at=NOON + n * HOUR) for n in (2, 0, 1)]
    for row in rows:
        await usage.add(row)
    assert await usage.latest(EVERYTHING, limit=2) == [rows[0], rows[2]]


async def test_nothing_used_is_no_group(usage: UsageStore) -> None:
    assert await usage.sums("key", EVERYTHING) == []


async def test_old_rows_are_forgotten_a_few_at_a_time(usage: UsageStore) -> None:
    rows = [make_usage(at=NOON - n * HOUR) for n in range(5)]
    for row in rows:
        await usage.add(row)
    removed = [await usage.forget(NOON - HOUR, limit=2) for _ in range(3)]
    assert removed == [2, 1, 0]
    assert await usage.latest(EVERYTHING, limit=10) == rows[:2]
