"""Faults by name: every code that a client can see can be wished for."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from longscroll.engines.faults import NAMES, Fault
from longscroll.errors import (
    ConnectionCut,
    FileNotFound,
    LongscrollError,
    ModelNotFound,
    RequestRateExceeded,
    RequestTimeout,
)
from longscroll.protocols.dashscope import errors as native
from longscroll.protocols.openai import errors as compat
from longscroll.protocols.refusals import find_row

ERRORS = [name for name in NAMES if Fault(error=name).is_error]


async def struck(fault: Fault, *, subject: str = "qwen-plus") -> LongscrollError:
    with pytest.raises(LongscrollError) as raised:
        await fault.strike(subject=subject)
    return raised.value


@pytest.mark.parametrize("table", [native.ROWS, compat.ROWS], ids=["native", "compat"])
async def test_every_status_and_code_of_a_surface_has_a_fault(table: dict[type[Exception], Any]) -> None:
    rows = [find_row(table, await struck(Fault(error=name))) for name in ERRORS]
    assert {(row.status, row.code) for row in table.values()} - {(row.status, row.code) for row in rows} == set()


@pytest.mark.parametrize("name", [name for name in ERRORS if name != "cut"])
async def test_a_name_is_a_code_of_the_error_that_it_gives(name: str) -> None:
    error = await struck(Fault(error=name))
    status, _, code = name.rpartition(" ")
    rows: list[Any] = [find_row(native.ROWS, error), find_row(compat.ROWS, error)]
    assert code in {row.code for row in rows}
    assert not status or {row.status for row in rows} == {int(status)}


async def test_words_and_seconds_of_the_fault_go_before_those_of_the_code() -> None:
    error = await struck(Fault(error="limit_requests", message="Later.", retry_after_s=7))
    assert (type(error), error.words, error.retry_after_s) == (RequestRateExceeded, "Later.", 7)


@pytest.mark.parametrize(("name", "kind"), [("model_not_found", ModelNotFound), ("file_not_found", FileNotFound)])
async def test_an_error_that_names_something_names_what_was_asked(name: str, kind: type[LongscrollError]) -> None:
    error = await struck(Fault(error=name), subject="the-one")
    assert isinstance(error, kind)
    assert "the-one" in str(error)


@pytest.mark.parametrize(("name", "kind"), [("cut", ConnectionCut), ("408 RequestTimeOut", RequestTimeout)])
async def test_a_fault_has_exactly_its_class(name: str, kind: type[LongscrollError]) -> None:
    assert type(await struck(Fault(error=name))) is kind


async def test_silence_does_not_end() -> None:
    waiting = asyncio.ensure_future(Fault(error="silence").strike())
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    waiting.cancel()
    assert done == set()


async def test_a_delay_comes_before_the_fault_and_alone_when_it_is_only_slow() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    await Fault(error="slow", delay_s=2.0).strike(sleep=sleep)
    with pytest.raises(ConnectionCut):
        await Fault(error="cut", delay_s=3.0).strike(sleep=sleep)
    assert pauses == [2.0, 3.0]


@pytest.mark.parametrize(
    "fields", [{"error": "fire"}, {"error": "cut", "after": -1}, {"error": "cut", "retry_after_s": 0}, {}]
)
def test_a_fault_that_means_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, Fault)
