"""What was used: sums and single requests, for whoever may see them.

Owns how a period is said and who sees which workspace. Days are those of UTC, so that everybody reads the same sums.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import get_args

from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.errors import InvalidParameter, WorkspaceDenied
from longscroll.storage.base import UsageFilter, UsageGroup, UsageRecord, UsageStore, UsageSum

GROUPS: tuple[UsageGroup, ...] = get_args(UsageGroup)
MAX_REQUESTS = 1_000
"""Of one list."""

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


class Period(Struct, frozen=True, kw_only=True):
    """From when until when, as people say it: ``7d``, ``12h`` or ``90m`` ago, a date, or a time in ISO 8601."""

    since: str | None = None
    until: str | None = None  # exclusive


class UsageReports:
    """Reads the rows that ``access.metering`` writes."""

    def __init__(self, store: UsageStore, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def sums(self, by: str, workspace: str | None, period: Period) -> list[UsageSum]:
        """Add up what was used, by key, model, day or workspace.

        Raises:
            InvalidParameter: there is no such group, or a time cannot be understood.
        """
        group = next((known for known in GROUPS if known == by), None)
        if group is None:
            raise InvalidParameter(f"by must be one of {', '.join(GROUPS)}; got {by!r}.", param="by")
        return await self._store.sums(group, self._filter(workspace, period))

    async def latest(self, workspace: str | None, period: Period, *, limit: int) -> list[UsageRecord]:
        """Return the requests that ended last, the latest first.

        Raises:
            InvalidParameter: a time cannot be understood, or ``limit`` is out of range.
        """
        if not 1 <= limit <= MAX_REQUESTS:
            raise InvalidParameter(f"Range of limit should be [1, {MAX_REQUESTS}]", param="limit")
        return await self._store.latest(self._filter(workspace, period), limit=limit)

    def _filter(self, workspace: str | None, period: Period) -> UsageFilter:
        now = self._clock()
        return UsageFilter(
            workspace=workspace,
            since=_moment(period.since, "since", now=now),
            until=_moment(period.until, "until", now=now),
        )


def visible_workspace(caller: Principal, wanted: str | None) -> str | None:
    """Return the workspace whose usage a caller sees: the operator any, or all of them (None), others their own.

    Raises:
        WorkspaceDenied: they name another, whether there is one or not.
    """
    if caller.is_operator:
        return wanted
    if wanted not in (None, caller.workspace):
        raise WorkspaceDenied("The key does not open this workspace.")
    return caller.workspace


def total(sums: list[UsageSum]) -> UsageSum:
    """Add up the groups."""
    return UsageSum(
        name="total",
        n_requests=sum(one.n_requests for one in sums),
        n_input=sum(one.n_input for one in sums),
        n_output=sum(one.n_output for one in sums),
        n_cached=sum(one.n_cached for one in sums),
        n_read=sum(one.n_read for one in sums),
    )


def _moment(said: str | None, name: str, *, now: datetime) -> datetime | None:
    if not said:
        return None
    ago = re.fullmatch(r"([1-9]\d{0,5})([dhm])", said)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        when = datetime.fromisoformat(said)
    except (ValueError, OverflowError) as error:
        raise InvalidParameter(
            f"{name} must look like 7d, 12h, 2026-11-21 or 2026-11-21T08:00:00+08:00; got {said!r}.", param=name
        ) from error
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
