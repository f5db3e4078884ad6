"""What requests used: one row for each, written before its client is told, which no end of the process takes back.

Owns when a row is written and what it says of a request that did not end well: what its client was told. Who was told
nothing, has no row: a refusal, an error before the first token, a whole answer that nobody waited for. Tokens that
limits hold for a request are given back here too, when it is known what it used. Knows no surface and no engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog
from msgspec.structs import replace

from longscroll.access.limits import Limits, Reservation
from longscroll.errors import Overloaded, StorageFull
from longscroll.storage.base import UsageOutcome, UsageRecord, UsageStore
from longscroll.telemetry import Moment, reached
from longscroll.types import Usage

RETRY_S = 0.1
MAX_RETRY_S = 5.0
MAX_WAITING = 10_000
"""Rows that wait for a store that takes none; one request more is refused."""

LOGGED = ("request_id", "workspace", "key_id", "model", "n_input", "n_output", "n_cached", "n_read", "outcome")
MILLISECOND = timedelta(milliseconds=1)

_log = structlog.get_logger(__name__)


class Metering:
    """Writes the rows of usage, each exactly once. Used on the event loop; ``close`` at the end.

    A row that the store does not take, because the disk is full or others hold the database, waits in memory and is
    in the log. Answers go on meanwhile, as long as not too many rows wait.
    """

    def __init__(
        self,
        store: UsageStore,
        limits: Limits,
        *,
        observers: Sequence[Callable[[UsageRecord], None]] = (),
        clock: Callable[[], datetime],
    ) -> None:
        """Write to ``store``; every record is shown to ``observers``."""
        self.clock = clock
        self._store = store
        self._limits = limits
        self._observers = observers
        self._waiting: deque[UsageRecord] = deque()
        self._writing: asyncio.Task[None] | None = None

    def begin(
        self,
        record: UsageRecord,
        *,
        limited_as: str | None,
        n_expected: int = 0,
        count: Callable[[], int] | None = None,
    ) -> Meter:
        """Return the meter of a request whose input is counted; enter it around the work.

        Args:
            record: what is known of the request so far; ``at`` is when it was asked.
            limited_as: the model's own name, whose limit the tokens count against; None: no limit holds.
            n_expected: tokens that the answer is expected to have.
            count: returns how many it has so far; asked where it is cut off. None: ``Meter.wrote`` says it.

        Raises:
            TokenRateExceeded: the workspace has too few tokens left of this minute.
            Overloaded: too many rows wait to be written.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("What was used cannot be written down at present; ask again later.")
        reservation = Reservation(None, 0)
        if limited_as is not None:
            reservation = self._limits.reserve(record.workspace, limited_as, record.n_input + n_expected)
        return Meter(self, record, reservation, count=count)

    async def record(self, record: UsageRecord) -> None:
        """Write a row; its client may be told when this returns. A request without a key has none."""
        if not record.key_id:
            return
        for observe in self._observers:
            observe(record)
        if self._waiting:
            self._wait(record, "others wait before it")
            return
        try:
            await self._store.add(record)
        except (Overloaded, StorageFull) as error:
            self._wait(record, str(error))
        else:
            reached(Moment.USAGE_RECORDED)

    async def close(self) -> None:
        """Try once more to write what waits; what cannot be written is in the log."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        try:
            await self._write_all()
        except (Overloaded, StorageFull) as error:
            _log.error("usage was not written", n_rows=len(self._waiting), reason=str(error))

    def _wait(self, record: UsageRecord, reason: str) -> None:
        numbers = {name: getattr(record, name) for name in LOGGED}
        _log.warning("usage waits to be written", **numbers, at=record.at.isoformat(), reason=reason)
        self._waiting.append(record)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._keep_writing())

    async def _keep_writing(self) -> None:
        pause_s = RETRY_S
        while self._waiting:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_RETRY_S)
            with suppress(Overloaded, StorageFull):
                await self._write_all()

    async def _write_all(self) -> None:
        while self._waiting:
            await self._store.add(self._waiting[0])
            self._waiting.popleft()


class Meter:
    """What one request uses, from its beginning to its row; a context manager around the work."""

    def __init__(
        self,
        metering: Metering,
        record: UsageRecord,
        reservation: Reservation,
        *,
        count: Callable[[], int] | None = None,
    ) -> None:
        self._metering = metering
        self._record = record
        self._reservation = reservation
        self._count = count
        self._first_token_at: datetime | None = None
        self._n_used = 0  # tokens that a limit is charged
        self._is_over = False  # the row of the whole is written, or being written

    def began(self) -> None:
        """Say that the answer has a token; only the first time matters."""
        if self._first_token_at is None:
            self._first_token_at = self._metering.clock()

    async def finish(self, usage: Usage) -> None:
        """Write the row of an answer that is whole; its client may be told when this returns."""
        self._is_over = True
        self._n_used = usage.n_input_tokens + usage.n_output_tokens
        row = replace(
            self._ended("ok", n_output=usage.n_output_tokens),
            n_input=usage.n_input_tokens,
            n_cached=usage.n_cached_tokens,
            n_read=usage.n_read_tokens,
            is_estimated=usage.is_estimated,
        )
        await self._metering.record(row)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Settle the reservation; write the row of a stream that was cut off after it had begun to answer."""
        has_left = isinstance(error, GeneratorExit | asyncio.CancelledError)
        n_output = self._count() if self._count is not None and not self._is_over else 0
        is_told = self._record.is_streamed and n_output > 0
        if is_told or (has_left and n_output):
            self._n_used = self._record.n_input + n_output
        self._reservation.settle(self._n_used)
        if is_told:
            code = None if has_left or error is None else type(error).__name__
            ended = self._ended("cancelled" if has_left else "failed", n_output=n_output)
            await self._metering.record(replace(ended, code=code))

    def _ended(self, outcome: UsageOutcome, *, n_output: int) -> UsageRecord:
        asked_at, first_at, ended_at = self._record.at, self._first_token_at, self._metering.clock()
        return replace(
            self._record,
            n_output=n_output,
            outcome=outcome,
            first_token_ms=None if first_at is None else _ms(asked_at, first_at),
            total_ms=_ms(asked_at, ended_at),
            at=ended_at,
        )


def _ms(start: datetime, stop: datetime) -> float:
    return max(0.0, (stop - start) / MILLISECOND)  # a clock that is set meanwhile may go back
