"""What was used, for those who administer the service. Errors have the OpenAI shape."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from longscroll.errors import InvalidParameter
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.told import choice, number, text
from longscroll.services.usage import MAX_REQUESTS, Period, UsageReports, total, visible_workspace
from longscroll.storage.base import UsageRecord, UsageSum

DEFAULT_LIMIT = 100

_PERIOD = (
    text("workspace", "Only this workspace; the operator sees all of them."),
    text("since", "From then on: 7d, 12h or 90m ago, a date, or a time in ISO 8601; UTC."),
    text("until", "Until then; as since."),
)
SUM_PARAMETERS = (choice("by", "What a group is.", among=("model", "key", "day", "workspace")), *_PERIOD)
REQUEST_PARAMETERS = (number("limit", "How many at most.", default=DEFAULT_LIMIT, low=1, high=MAX_REQUESTS), *_PERIOD)


class UsageGroupObject(Struct, frozen=True, kw_only=True):
    """What the requests of one group used, in tokens."""

    object: Literal["usage"] = "usage"
    name: str  # a key's id, a model, a day of UTC as 2026-11-21, a workspace
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    read_tokens: int


class UsageReply(Struct, frozen=True, kw_only=True):
    """The sums of every group, in the order of their names, and of all together."""

    object: Literal["list"] = "list"
    by: str
    data: tuple[UsageGroupObject, ...]
    total: UsageGroupObject


class UsageRequestObject(Struct, frozen=True, kw_only=True):
    """What one request used. Times are unix seconds with their fractions."""

    object: Literal["usage.request"] = "usage.request"
    request_id: str
    workspace: str
    key_id: str
    model: str
    model_served: str
    operation: str
    surface: str
    stream: bool
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    read_tokens: int
    estimated: bool
    file_ids: tuple[str, ...]
    outcome: str
    code: str | None
    first_token_ms: float | None
    total_ms: float
    ended_at: float


class UsageRequestList(Struct, frozen=True, kw_only=True):
    """Requests, the one that ended last first."""

    object: Literal["list"] = "list"
    data: tuple[UsageRequestObject, ...]


class UsageEndpoints:
    """The handlers of ``/admin/v1/usage``."""

    def __init__(self, reports: UsageReports) -> None:
        self._reports = reports

    async def sums(self, request: Request) -> Reply:
        """Return what was used, by ``by``: in the caller's workspace, or to the operator in any or all."""
        query = request.query
        by = query.get("by") or "model"
        sums = await self._reports.sums(by, _workspace(request), _period(query))
        return json_reply(UsageReply(by=by, data=tuple(map(_group, sums)), total=_group(total(sums))))

    async def requests(self, request: Request) -> Reply:
        """Return the requests that ended last."""
        query = request.query
        limit = query.get("limit") or str(DEFAULT_LIMIT)
        if not (limit.isascii() and limit.isdecimal()):
            raise InvalidParameter("limit must be a number.", param="limit")
        latest = await self._reports.latest(_workspace(request), _period(query), limit=int(limit[:9]))
        return json_reply(UsageRequestList(data=tuple(map(render_request, latest))))


def render_request(record: UsageRecord) -> UsageRequestObject:
    """Return a row under the names that clients know."""
    return UsageRequestObject(
        request_id=record.request_id,
        workspace=record.workspace,
        key_id=record.key_id,
        model=record.model,
        model_served=record.model_served,
        operation=record.operation,
        surface=record.surface,
        stream=record.is_streamed,
        input_tokens=record.n_input,
        output_tokens=record.n_output,
        cached_tokens=record.n_cached,
        read_tokens=record.n_read,
        estimated=record.is_estimated,
        file_ids=record.file_ids,
        outcome=record.outcome,
        code=record.code,
        first_token_ms=record.first_token_ms,
        total_ms=record.total_ms,
        ended_at=record.at.timestamp(),
    )


def _group(one: UsageSum) -> UsageGroupObject:
    return UsageGroupObject(
        name=one.name,
        requests=one.n_requests,
        input_tokens=one.n_input,
        output_tokens=one.n_output,
        cached_tokens=one.n_cached,
        read_tokens=one.n_read,
    )


def _workspace(request: Request) -> str | None:
    return visible_workspace(request.principal, request.query.get("workspace") or None)


def _period(query: dict[str, str]) -> Period:
    return Period(since=query.get("since"), until=query.get("until"))
