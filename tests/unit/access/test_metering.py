"""When a row of usage is written, what it says, and what a limit is charged."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from factories.storage import NOON, make_usage
from longscroll.access.limits import LimitOptions, Limits
from longscroll.access.metering import MAX_WAITING, Meter, Metering
from longscroll.errors import EngineFailed, Overloaded, StorageFull, TokenRateExceeded
from longscroll.storage.base import UsageRecord
from longscroll.storage.memory import MemoryUsage
from longscroll.types import Usage

ASKED = make_usage(n_output=0, is_streamed=True)
WHOLE = replace(ASKED, is_streamed=False)
USAGE = Usage(n_input_tokens=100, n_output_tokens=12, n_read_tokens=60, n_cached_tokens=30)
FULL = StorageFull("No space is left for the database.")


class Ticking:
    """A clock on which ten milliseconds pass at every look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now


class Metered:
    """A metering over a minute's allowance of 1000 tokens, of which ``left`` tells what can still be taken."""

    def __init__(self) -> None:
        self.store = MemoryUsage()
        self.shown: list[UsageRecord] = []
        limits = Limits([LimitOptions(tokens_per_minute=1000)], clock=lambda: 0.0)
        self.metering = Metering(self.store, limits, observers=[self.shown.append], clock=Ticking())
        self.n_written = 0
        self._limits = limits

    def begin(self, record: UsageRecord = ASKED) -> Meter:
        return self.metering.begin(record, limited_as="qwen-long", n_expected=200, count=lambda: self.n_written)

    def write(self, meter: Meter, n_output: int) -> None:
        """Say that the answer has so many tokens by now."""
        self.n_written = n_output
        if n_output:
            meter.began()

    @property
    def rows(self) -> list[UsageRecord]:
        return list(self.store.rows.values())

    @property
    def left(self) -> int:
        for n in range(1000, 0, -1):
            try:
                self._limits.reserve("acme", "qwen-long", n).settle(0)
            except TokenRateExceeded:
                continue
            return n
        return 0


async def play(
    metered: Metered, meter: Meter, *written: int, usage: Usage | None = None, end: BaseException | None = None
) -> None:
    """Write that many tokens, one number after the other; then finish, or end, or first the one and then the other."""
    async with meter:
        for n_output in written:
            metered.write(meter, n_output)
        if usage is not None:
            await meter.finish(usage)
        if end is not None:
            raise end


@pytest.mark.item(82)
async def test_the_row_is_there_when_the_client_may_be_told() -> None:
    metered = Metered()
    async with metered.begin() as meter:
        metered.write(meter, 5)
        await meter.finish(USAGE)
        at_once = metered.rows
    row = replace(ASKED, n_output=12, n_cached=30, n_read=60, first_token_ms=10.0, total_ms=20.0)
    assert at_once == metered.rows == metered.shown == [replace(row, at=NOON + timedelta(milliseconds=20))]
    assert metered.left == 1000 - 112


@pytest.mark.parametrize("record", [ASKED, WHOLE])
async def test_what_is_expected_is_held_while_the_request_runs(record: UsageRecord) -> None:
    metered = Metered()
    async with metered.begin(record):
        assert metered.left == 1000 - 100 - 200
    assert metered.left == 1000


@pytest.mark.item(81)
@pytest.mark.parametrize("record", [ASKED, WHOLE])
async def test_an_error_before_the_first_token_leaves_no_row_and_costs_nothing(record: UsageRecord) -> None:
    metered = Metered()
    with pytest.raises(EngineFailed):
        await play(metered, metered.begin(record), end=EngineFailed("It broke."))
    assert (metered.rows, metered.left) == ([], 1000)


async def test_a_stream_that_breaks_has_a_row_of_what_was_told() -> None:
    metered = Metered()
    with pytest.raises(EngineFailed):
        await play(metered, metered.begin(), 5, 7, end=EngineFailed("It broke."))
    [row] = metered.rows
    assert (row.n_input, row.n_output, row.outcome, row.code) == (100, 7, "failed", "EngineFailed")
    assert metered.left == 1000 - 107


@pytest.mark.item(81)
async def test_a_whole_answer_that_breaks_has_told_nothing_and_costs_nothing() -> None:
    metered = Metered()
    with pytest.raises(EngineFailed):
        await play(metered, metered.begin(WHOLE), 7, end=EngineFailed("It broke."))
    assert (metered.rows, metered.left) == ([], 1000)


@pytest.mark.parametrize("leaving", [GeneratorExit, asyncio.CancelledError])
async def test_who_leaves_a_stream_has_a_row_of_what_was_told(leaving: type[BaseException]) -> None:
    metered = Metered()
    with pytest.raises(leaving):
        await play(metered, metered.begin(), 7, end=leaving())
    [row] = metered.rows
    assert (row.n_input, row.n_output, row.outcome, row.code) == (100, 7, "cancelled", None)
    assert metered.left == 1000 - 107


async def test_who_leaves_before_a_whole_answer_has_no_row_but_spends_what_was_written() -> None:
    metered = Metered()
    with pytest.raises(asyncio.CancelledError):
        await play(metered, metered.begin(WHOLE), 7, end=asyncio.CancelledError())
    assert (metered.rows, metered.left) == ([], 1000 - 107)


async def test_who_leaves_once_the_row_of_the_whole_is_written_has_that_row_alone() -> None:
    metered = Metered()
    with pytest.raises(asyncio.CancelledError):
        await play(metered, metered.begin(), 7, usage=USAGE, end=asyncio.CancelledError())
    assert [(row.n_output, row.outcome) for row in metered.rows] == [(12, "ok")]
    assert metered.left == 1000 - 112


async def test_an_exempt_request_takes_nothing_of_a_limit() -> None:
    metered = Metered()
    await play(metered, metered.metering.begin(ASKED, limited_as=None, n_expected=5000), usage=USAGE)
    assert (len(metered.rows), metered.left) == (1, 1000)


async def test_a_command_has_no_key_and_no_row() -> None:
    metered = Metered()
    await play(metered, metered.begin(replace(ASKED, key_id="")), 7, usage=USAGE)
    assert (metered.rows, metered.shown) == ([], [])


@pytest.mark.parametrize("refusal", [FULL, Overloaded("Too many writes wait for the database; ask again later.")])
async def test_a_row_that_the_store_does_not_take_waits_until_it_does(refusal: StorageFull | Overloaded) -> None:
    metered = Metered()
    metered.store.refusal = refusal
    await play(metered, metered.begin(), 7, usage=USAGE)
    await play(metered, metered.begin(replace(ASKED, request_id="later")), 8, usage=USAGE)
    assert (metered.rows, len(metered.shown)) == ([], 2)
    metered.store.refusal = None
    async with asyncio.timeout(5):
        while len(metered.rows) < 2:
            await asyncio.sleep(0.01)
    assert metered.rows == metered.shown
    await metered.metering.close()


async def test_a_request_that_comes_when_too_many_rows_wait_is_refused() -> None:
    metered = Metered()
    metered.store.refusal = FULL
    for number in range(MAX_WAITING):
        await metered.metering.record(replace(ASKED, request_id=str(number)))
    with pytest.raises(Overloaded):
        metered.begin()
    metered.store.refusal = None
    await metered.metering.close()
    assert len(metered.rows) == MAX_WAITING


async def test_what_waits_is_in_the_log_with_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    metered = Metered()
    metered.store.refusal = FULL
    await metered.metering.record(ASKED)
    await metered.metering.close()
    said = capsys.readouterr().out
    assert all(words in said for words in ("usage waits to be written", ASKED.request_id, "n_input=100"))
    assert "usage was not written" in said
