"""How writes are grouped, on a backend without a database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext

import pytest
import sqlalchemy as sa

from longscroll.errors import Overloaded, StorageFull
from longscroll.storage.connections import ConnectionOptions, Connections


class Ledger:
    """A backend that records its commits; ``gate`` holds the first transaction until it is set."""

    def __init__(self) -> None:
        self.engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
        self.gate = threading.Event()
        self.is_full = False
        self.n_scrubs_blocked = 0
        self.n_begun = 0
        self.is_scrubbed = threading.Event()
        self.log: list[str] = []

    @contextmanager
    def writing(self, *, is_forced: bool = True) -> Iterator[sa.Connection]:
        self.gate.wait(10)
        self.n_begun += 1
        with self.engine.connect() as connection:
            yield connection
        if self.is_full:
            raise StorageFull
        self.log.append("commit" if is_forced else "commit unforced")

    def force(self) -> None:
        self.log.append("force")

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        self.gate.wait(10)
        with self.engine.connect() as connection:
            yield connection

    def scrub(self) -> bool:
        self.log.append("scrub")
        self.n_scrubs_blocked -= 1
        if self.n_scrubs_blocked < 0:
            self.is_scrubbed.set()
        return self.is_scrubbed.is_set()

    def spend_reserve(self) -> None:
        self.log.append("spend")
        self.is_full = False

    def close(self) -> None:
        self.engine.dispose()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def connections(ledger: Ledger) -> AsyncIterator[Connections]:
    connections = Connections(ledger, ConnectionOptions(max_waiting_writes=300, max_waiting_reads=2, max_group=100))
    yield connections
    ledger.gate.set()
    await connections.close()


async def begun(connections: Connections, n_writes: int) -> list[asyncio.Task[int]]:
    writes = [asyncio.create_task(connections.write(lambda _, n=n: n)) for n in range(n_writes)]  # type: ignore[misc]
    await asyncio.sleep(0.05)
    return writes


async def test_writes_that_wait_for_a_commit_share_the_next(ledger: Ledger, connections: Connections) -> None:
    writes = await begun(connections, 201)
    ledger.gate.set()
    assert await asyncio.gather(*writes) == list(range(201))
    assert 3 <= len(ledger.log) <= 4  # what the first commit took, then groups of a hundred


async def test_a_result_is_known_only_after_the_commit(ledger: Ledger, connections: Connections) -> None:
    [write] = await begun(connections, 1)
    assert not write.done()
    ledger.gate.set()
    assert await write == 0
    assert ledger.log == ["commit"]


async def test_a_group_is_forced_where_one_of_it_must_be(ledger: Ledger, connections: Connections) -> None:
    [first] = [asyncio.create_task(connections.write(lambda _: 1, is_forced=False))]
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(connections.write(lambda _: 2, is_forced=is_forced)) for is_forced in (False, True)]
    await asyncio.sleep(0.05)
    ledger.gate.set()
    assert await asyncio.gather(first, *others) == [1, 2, 2]
    assert ledger.log == ["commit unforced", "commit"]


@pytest.mark.parametrize(("force_within_s", "pause_s"), [(0.01, 0.2), (60.0, 0.0)], ids=["in time", "at the end"])
async def test_what_is_not_forced_follows(ledger: Ledger, force_within_s: float, pause_s: float) -> None:
    ledger.gate.set()
    connections = Connections(ledger, ConnectionOptions(force_within_s=force_within_s))
    await connections.write(lambda _: None, is_forced=False)
    await asyncio.sleep(pause_s)
    await connections.close()
    assert ledger.log == ["commit unforced", "force"]


async def test_a_write_that_raises_fails_alone(ledger: Ledger, connections: Connections) -> None:
    def fail(_: sa.Connection) -> int:
        raise ZeroDivisionError

    writes = await begun(connections, 5)
    failing = asyncio.create_task(connections.write(fail))
    await asyncio.sleep(0)
    ledger.gate.set()
    with pytest.raises(ZeroDivisionError):
        await failing
    assert await asyncio.gather(*writes) == [0, 1, 2, 3, 4]


async def test_on_a_full_disk_a_group_is_refused_together(ledger: Ledger, connections: Connections) -> None:
    ledger.is_full = True
    writes = await begun(connections, 50)
    ledger.gate.set()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [StorageFull] * 50
    assert (ledger.n_begun <= 2, ledger.log) == (True, [])


async def test_full_queues_refuse_at_once(ledger: Ledger, connections: Connections) -> None:
    reads = [asyncio.create_task(connections.read(lambda _: "row")) for _ in range(2)]
    writes = await begun(connections, 301)
    with pytest.raises(Overloaded):
        await connections.read(lambda _: "row")
    with pytest.raises(Overloaded):
        await asyncio.gather(*(await begun(connections, 1)))
    ledger.gate.set()
    assert await asyncio.gather(*reads, *writes) == ["row", "row", *range(301)]


async def test_a_scrub_that_a_reader_blocks_is_tried_again(ledger: Ledger, connections: Connections) -> None:
    ledger.n_scrubs_blocked = 2
    ledger.gate.set()
    connections.scrub_soon()
    await asyncio.to_thread(ledger.is_scrubbed.wait, 10)
    await connections.write(lambda _: None)
    assert ledger.log == ["scrub", "scrub", "scrub", "commit"]


@pytest.mark.parametrize(("makes_room", "log"), [(True, ["spend", "commit"]), (False, [])])
async def test_on_a_full_disk_only_what_makes_room_uses_the_reserve(
    makes_room: bool, log: list[str], ledger: Ledger, connections: Connections
) -> None:
    ledger.is_full = True
    ledger.gate.set()
    with nullcontext() if makes_room else pytest.raises(StorageFull):
        await connections.write(lambda _: None, makes_room=makes_room)
    assert ledger.log == log


async def test_a_scrub_that_is_asked_for_while_one_is_on_its_way_is_done_after_it(
    ledger: Ledger, connections: Connections
) -> None:
    waiting = await begun(connections, 1)  # holds the writing thread
    for _ in range(50):
        connections.scrub_soon()
    ledger.gate.set()
    await asyncio.gather(*waiting)
    while ledger.log.count("scrub") < 2:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert ledger.log == ["commit", "scrub", "scrub"]


async def test_writes_go_on_between_the_tries_of_a_scrub(ledger: Ledger, connections: Connections) -> None:
    ledger.n_scrubs_blocked = 1000
    ledger.gate.set()
    connections.scrub_soon()
    for _ in range(3):
        await connections.write(lambda _: None)
        await asyncio.sleep(0.05)
    while ledger.log.count("scrub") < 3:
        await asyncio.sleep(0.01)
    assert ledger.log.count("commit") == 3


async def test_closing_tries_a_blocked_scrub_once_more(ledger: Ledger) -> None:
    ledger.n_scrubs_blocked = 1
    ledger.gate.set()
    connections = Connections(ledger, ConnectionOptions())
    connections.scrub_soon()
    await asyncio.sleep(0)
    await connections.close()
    assert ledger.log == ["scrub", "scrub"]


async def test_after_closing_nothing_is_accepted(ledger: Ledger) -> None:
    ledger.gate.set()
    connections = Connections(ledger, ConnectionOptions())
    await connections.close()
    with pytest.raises(RuntimeError):
        await connections.write(lambda _: None)
