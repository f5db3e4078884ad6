"""The batches of the OpenAI-compatible surface: create, retrieve, list, cancel (PROTOCOL.md §8.5).

Knows the shape of a batch and no line of one. The address in ``ds_batch_finish_callback`` is kept and never called.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec import Struct

from longscroll.errors import InvalidParameter
from longscroll.protocols.dates import parse_date, zone
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import explain, integer
from longscroll.protocols.told import number, text
from longscroll.services.batches.service import BatchRequest, BatchService
from longscroll.storage.batches import Batch, BatchFault, BatchFilter, BatchStatus

MAX_PAGE = 100
DEFAULT_PAGE = 20
MAX_INPUT_FILES = 20  # of a filter
MIN_WINDOW = timedelta(hours=24)
MAX_WINDOW = timedelta(days=14)
MAX_PAIRS = 16
MAX_KEY_CHARS = 64
MAX_VALUE_CHARS = 512

_WINDOW = re.compile(r"(\d{1,4})([hd])", re.ASCII)

LIST_PARAMETERS = (
    number("limit", "How many at most.", default=DEFAULT_PAGE, low=1, high=MAX_PAGE),
    text("after", "The last id of the page before."),
    text("ds_name", "Only batches with this in their name."),
    text("input_file_ids", "Only batches of these files, with commas between."),
    text("status", "Only batches in these states, with commas between."),
    text("create_after", "Only batches that came later: 20250306123000, 20250306, 2025-03-06 or 2025-03-06 12:30:00."),
    text("create_before", "Only batches that came earlier; as create_after."),
)


class CreateBatch(Struct, kw_only=True):
    """The body of POST /batches."""

    input_file_id: str | None = None
    endpoint: str | None = None
    completion_window: str | None = None
    metadata: dict[str, str] | None = None


class WireFault(Struct, frozen=True, kw_only=True):
    """One entry of ``errors``."""

    code: str
    message: str
    param: str | None
    line: int | None


class FaultList(Struct, frozen=True, kw_only=True):
    """``errors`` of a batch whose input has some."""

    object: Literal["list"] = "list"
    data: tuple[WireFault, ...]


class RequestCounts(Struct, frozen=True, kw_only=True):
    """How many lines there are, and how many stand in the output and in the error file, or will."""

    total: int
    completed: int
    failed: int


class BatchObject(Struct, frozen=True, kw_only=True):
    """A batch; times are unix seconds, null before they come."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: FaultList | None
    input_file_id: str
    completion_window: str
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: Mapping[str, str] | None


class BatchList(Struct, frozen=True, kw_only=True):
    """One page of batches."""

    object: Literal["list"] = "list"
    data: tuple[BatchObject, ...]
    first_id: str | None
    last_id: str | None
    has_more: bool


_decoder = msgspec.json.Decoder(CreateBatch)


class Batches:
    """The handlers of the compat surface's batch endpoints; ``endpoints`` are those a batch can be for."""

    def __init__(self, batches: BatchService, options: ProtocolOptions, *, endpoints: Collection[str]) -> None:
        self._batches = batches
        self._zone = zone(options.utc_offset_hours)
        self._endpoints = endpoints

    async def create(self, request: Request) -> Reply:
        """Queue a batch; its input is checked later, and told in ``errors``."""
        try:
            body = await request.decode(_decoder)
        except msgspec.ValidationError as error:
            raise explain(error) from error
        batch = await self._batches.create(request.principal, self._checked(body))
        return json_reply(_render(batch))

    async def retrieve(self, request: Request) -> Reply:
        """Return one batch."""
        return json_reply(_render(await self._batches.get(request.principal.workspace, request.arguments["id"])))

    async def list(self, request: Request) -> Reply:
        """Return a page of batches, newest first."""
        query = request.query
        which = BatchFilter(
            name_part=query.get("ds_name", ""),
            input_file_ids=_items(query, "input_file_ids"),
            statuses=_statuses(query),
            created_after=parse_date(query.get("create_after"), "create_after", where=self._zone),
            created_before=parse_date(query.get("create_before"), "create_before", where=self._zone),
        )
        batches, has_more = await self._batches.page(
            request.principal.workspace,
            which=which,
            after=query.get("after") or None,
            limit=integer(query, "limit", DEFAULT_PAGE, low=1, high=MAX_PAGE),
        )
        return json_reply(
            BatchList(
                data=tuple(map(_render, batches)),
                first_id=batches[0].id if batches else None,
                last_id=batches[-1].id if batches else None,
                has_more=has_more,
            )
        )

    async def cancel(self, request: Request) -> Reply:
        """Begin to cancel a batch; what is answered by then is kept."""
        return json_reply(_render(await self._batches.cancel(request.principal.workspace, request.arguments["id"])))

    def _checked(self, body: CreateBatch) -> BatchRequest:
        if not body.input_file_id:
            raise InvalidParameter("input_file_id is required.", param="input_file_id")
        if body.endpoint is None or body.endpoint not in self._endpoints:
            raise InvalidParameter(f"endpoint must be one of {', '.join(self._endpoints)}.", param="endpoint")
        metadata = body.metadata or {}
        _check_metadata(metadata)
        return BatchRequest(
            endpoint=body.endpoint,
            input_file_id=body.input_file_id,
            completion_window=body.completion_window or "",
            window=_window(body.completion_window or ""),
            name=metadata.get("ds_name", ""),
            metadata=metadata,
        )


def _window(text: str) -> timedelta:
    match = _WINDOW.fullmatch(text)
    window = timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1)) if match else timedelta()
    if not MIN_WINDOW <= window <= MAX_WINDOW:
        raise InvalidParameter("completion_window should be 24h to 336h, or 1d to 14d.", param="completion_window")
    return window


def _check_metadata(metadata: Mapping[str, str]) -> None:
    is_small = all(len(key) <= MAX_KEY_CHARS and len(value) <= MAX_VALUE_CHARS for key, value in metadata.items())
    if len(metadata) > MAX_PAIRS or not is_small:
        raise InvalidParameter(
            f"metadata has up to {MAX_PAIRS} strings of {MAX_VALUE_CHARS} characters, under names of {MAX_KEY_CHARS}.",
            param="metadata",
        )


def _items(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in query.get(name, "").split(",") if item.strip())
    if len(items) > MAX_INPUT_FILES:
        raise InvalidParameter(f"{name} has at most {MAX_INPUT_FILES} items.", param=name)
    return items


def _statuses(query: Mapping[str, str]) -> tuple[BatchStatus, ...]:
    try:
        return tuple(BatchStatus(item) for item in _items(query, "status"))
    except ValueError as error:
        raise InvalidParameter(f"status is any of {', '.join(BatchStatus)}.", param="status") from error


def _render(batch: Batch) -> BatchObject:
    faults = tuple(map(_render_fault, batch.errors))
    return BatchObject(
        id=batch.id,
        endpoint=batch.endpoint,
        errors=FaultList(data=faults) if faults else None,
        input_file_id=batch.input_file_id,
        completion_window=batch.completion_window,
        status=str(batch.status),
        output_file_id=batch.output_file_id,
        error_file_id=batch.error_file_id,
        created_at=int(batch.created_at.timestamp()),
        in_progress_at=_seconds(batch.in_progress_at),
        expires_at=int(batch.expires_at.timestamp()),
        finalizing_at=_seconds(batch.finalizing_at),
        completed_at=_seconds(batch.completed_at),
        failed_at=_seconds(batch.failed_at),
        expired_at=_seconds(batch.expired_at),
        cancelling_at=_seconds(batch.cancelling_at),
        cancelled_at=_seconds(batch.cancelled_at),
        request_counts=RequestCounts(total=batch.n_total, completed=batch.n_completed, failed=batch.n_failed),
        metadata=batch.metadata or None,
    )


def _render_fault(fault: BatchFault) -> WireFault:
    return WireFault(code=fault.code, message=fault.message, param=fault.param, line=fault.line)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
