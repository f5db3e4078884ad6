"""Parsers that obey a script: slow, stuck, unlucky, by the name of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from factories.ingestion import ScriptedParsers as Pool
from factories.ingestion import done
from longscroll.documents.messages import ParseDone
from longscroll.documents.parsers import ParseListener
from longscroll.documents.scripted import DETAILS, FileRule, ScriptedParsers
from longscroll.errors import DocumentError, DocumentErrorKind

Parse = Callable[[ScriptedParsers, str], Awaitable[ParseDone]]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    file = tmp_path / "bytes"
    file.write_bytes(b"text")

    async def run(parsers: ScriptedParsers, filename: str) -> ParseDone:
        return await parsers.parse(file, tmp_path / "artifact", filename=filename, listener=cast("ParseListener", None))

    return run


async def test_a_file_without_a_rule_is_parsed_as_ever(parse: Parse) -> None:
    rules = [FileRule(name="*.pdf", error=DocumentErrorKind.CORRUPT)]
    assert await parse(ScriptedParsers(Pool(), rules), "a.txt") == done()


@pytest.mark.parametrize("kind", list(DocumentErrorKind))
async def test_a_rule_gives_every_kind_of_error(parse: Parse, kind: DocumentErrorKind) -> None:
    parsers = ScriptedParsers(Pool(), [FileRule(name="a.*", error=kind)])
    with pytest.raises(DocumentError) as raised:
        await parse(parsers, "a.txt")
    assert (raised.value.kind, str(raised.value)) == (kind, DETAILS[kind])


async def test_a_rule_may_have_words_of_its_own(parse: Parse) -> None:
    parsers = ScriptedParsers(Pool(), [FileRule(error=DocumentErrorKind.CORRUPT, message="Torn.")])
    with pytest.raises(DocumentError, match=r"^Torn\.$"):
        await parse(parsers, "a.txt")


async def test_a_slow_file_is_parsed_after_its_delay(parse: Parse) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    parsers = ScriptedParsers(Pool(), [FileRule(delay_s=5.0)], sleep=sleep)
    assert (await parse(parsers, "a.txt"), pauses) == (done(), [5.0])


async def test_a_stuck_file_goes_on_when_no_rule_keeps_it(parse: Parse) -> None:
    pool = Pool()
    parsers = ScriptedParsers(pool, [FileRule(name="*.pdf", stuck=True)])
    parsing = asyncio.ensure_future(parse(parsers, "a.pdf"))
    parsers.replace([FileRule(name="a.*", stuck=True)])
    await asyncio.sleep(0.01)
    assert (parsing.done(), pool.n_calls) == (False, 0)
    parsers.replace([])
    assert await parsing == done()


async def test_a_stuck_file_can_be_given_up(parse: Parse) -> None:
    pool = Pool()
    parsing = asyncio.ensure_future(parse(ScriptedParsers(pool, [FileRule(stuck=True)]), "a.pdf"))
    await asyncio.sleep(0)
    parsing.cancel()
    await asyncio.wait([parsing])
    assert (parsing.cancelled(), pool.n_calls) == (True, 0)
