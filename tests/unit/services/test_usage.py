"""Who sees which usage, and how a period is said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from factories.storage import NOON, make_usage
from longscroll.access.base import Principal
from longscroll.errors import InvalidParameter, WorkspaceDenied
from longscroll.services.usage import MAX_REQUESTS, Period, UsageReports, total, visible_workspace
from longscroll.storage.memory import MemoryUsage

DAY = timedelta(days=1)


async def reports(*ages: timedelta) -> UsageReports:
    """Return reports over one request of each age."""
    store = MemoryUsage()
    for age in ages:
        await store.add(make_usage(at=NOON - age))
    return UsageReports(store, clock=lambda: NOON)


def admin(workspace: str) -> Principal:
    return Principal(workspace=workspace, key_id="key-1", scopes=frozenset({"admin"}))


@pytest.mark.parametrize(
    ("since", "n_requests"),
    [
        (None, 4),
        ("30d", 3),
        ("36h", 2),
        ("90m", 1),
        ("2026-02-28", 2),
        ("2026-02-28T12:00:01", 1),
        ("2026-03-01T20:00:00+08:00", 1),
    ],
)
async def test_a_period_begins_as_long_ago_or_when_it_is_said_to(since: str | None, n_requests: int) -> None:
    usage = await reports(60 * DAY, 20 * DAY, DAY, timedelta())
    [one] = await usage.sums("model", None, Period(since=since))
    assert one.n_requests == n_requests


async def test_a_period_ends_before_the_moment_that_is_said() -> None:
    usage = await reports(DAY, timedelta())
    [record] = await usage.latest(None, Period(until="12h"), limit=10)
    assert record.at == NOON - DAY


@pytest.mark.parametrize("said", ["7x", "0d", "-1d", "soon", "2026-13-01", "999999d"])
async def test_a_time_that_cannot_be_understood_is_refused_by_name(said: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^since must look like 7d, 12h, 2026-11-21") as caught:
        await (await reports()).sums("model", None, Period(since=said))
    assert caught.value.param == "since"


async def test_a_group_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidParameter, match="by must be one of key, model, day, workspace; got 'color'"):
        await (await reports()).sums("color", None, Period())


@pytest.mark.parametrize("limit", [0, MAX_REQUESTS + 1])
async def test_a_list_is_neither_empty_nor_endless(limit: int) -> None:
    with pytest.raises(InvalidParameter, match=rf"\[1, {MAX_REQUESTS}\]"):
        await (await reports()).latest(None, Period(), limit=limit)


def test_the_operator_sees_all_workspaces_or_the_one_that_is_asked_for() -> None:
    assert (visible_workspace(admin("default"), None), visible_workspace(admin("default"), "acme")) == (None, "acme")


def test_others_see_their_own_and_are_refused_any_other() -> None:
    assert [visible_workspace(admin("acme"), wanted) for wanted in (None, "acme")] == ["acme", "acme"]
    for foreign in ("default", "nobody"):
        with pytest.raises(WorkspaceDenied):
            visible_workspace(admin("acme"), foreign)


async def test_the_total_adds_up_the_groups() -> None:
    sums = await (await reports(DAY, timedelta())).sums("day", None, Period())
    whole = total(sums)
    assert [one.name for one in sums] == ["2026-02-28", "2026-03-01"]
    assert (whole.n_requests, whole.n_input, whole.n_output) == (2, 200, 20)
