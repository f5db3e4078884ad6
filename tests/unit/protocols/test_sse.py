from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

import pytest

from factories.answers import Step
from longscroll.errors import EngineFailed
from longscroll.protocols.exchange import AsgiMessage, EventStream
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.sse import EventWriter
from longscroll.types import ChatEvent, Delta, Progress

OPTIONS = ProtocolOptions(first_heartbeat_s=0.05, heartbeat_s=0.03)
CALM = ProtocolOptions(first_heartbeat_s=0.5, heartbeat_s=0.4)  # longer than a busy machine forgets a task for


class Client:
    """The receiving end: keeps what is sent, and can be slow."""

    def __init__(self) -> None:
        self.messages: list[AsgiMessage] = []
        self.is_reading = asyncio.Event()
        self.is_reading.set()

    async def send(self, message: AsgiMessage) -> None:
        await self.is_reading.wait()
        self.messages.append(message)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]


class Source:
    """The scripted source of a stream; knows how far it was asked and whether it was closed."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.n_yielded = 0
        self.is_closed = False
        self._steps = steps

    async def events(self) -> AsyncGenerator[ChatEvent, None]:
        try:
            for step in self._steps:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    self.n_yielded += 1
                    yield step
        finally:
            await asyncio.sleep(0)
            self.is_closed = True


def writer(source: Source, client: Client, options: ProtocolOptions = OPTIONS) -> EventWriter:
    return writer_of(source.events(), client, options)


def writer_of(
    events: AsyncGenerator[ChatEvent, None], client: Client, options: ProtocolOptions = OPTIONS
) -> EventWriter:
    stream = EventStream(
        events=events,
        render=lambda event: event.text.encode() if isinstance(event, Delta) else b"",
        fail=lambda error: f"[{error}]".encode(),
        heartbeat=lambda: b":",
    )
    return EventWriter(stream, client.send, headers=lambda: ((b"x", b"y"),), options=options)


def texts(*names: str) -> list[Step]:
    return [Delta(text=name) for name in names]


@pytest.mark.item(29)
async def test_the_head_says_what_follows() -> None:
    client = Client()
    await writer(Source(texts("a")), client).write()
    headers = [
        (b"content-type", b"text/event-stream;charset=UTF-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x", b"y"),
    ]
    assert client.messages[0] == {"type": "http.response.start", "status": 200, "headers": headers}
    assert client.messages[1] == {"type": "http.response.body", "body": b"a", "more_body": True}
    assert client.messages[-1]["more_body"] is False


async def test_frames_that_wait_already_share_one_send() -> None:
    client = Client()
    await writer(Source([*texts("a", "b", "c"), 0.01, *texts("d")]), client).write()
    assert client.bodies == [b"abc", b"d", b""]


@pytest.mark.item(127)
async def test_the_first_words_leave_one_by_one_and_what_comes_faster_shares_a_send() -> None:
    client = Client()
    one_by_one: list[Step] = [*texts("a"), 0.001, *texts("b"), 0.001, *texts("c"), 0.001]
    await writer(Source([*one_by_one, *texts(*"defghijk")]), client).write()
    assert client.bodies == [b"a", b"b", b"c", b"defghijk", b""]


async def test_no_frame_is_held_back_for_another() -> None:
    client = Client()
    task = asyncio.create_task(writer(Source([*texts("a"), 60.0]), client).write())
    await asyncio.sleep(0.005)
    assert client.bodies == [b"a"]
    task.cancel()


@pytest.mark.item(45)
async def test_silence_is_filled_and_the_status_waits_for_it() -> None:
    client = Client()
    task = asyncio.create_task(writer(Source([Progress(stage="parsing"), 60.0]), client).write())
    await asyncio.sleep(0.02)
    before = list(client.messages)
    await asyncio.sleep(0.1)
    assert (before, client.messages[0]["status"], client.bodies[:2]) == ([], 200, [b":", b":"])
    task.cancel()


@pytest.mark.item(45)
async def test_a_stream_that_speaks_needs_no_comments() -> None:
    client = Client()
    await writer(Source([step for n in range(10) for step in (0.06, *texts(str(n)))]), client, CALM).write()
    assert b"".join(client.bodies) == b"0123456789"


async def test_a_client_that_does_not_read_gets_one_comment_at_a_time() -> None:
    client = Client()
    task = asyncio.create_task(writer(Source([60.0]), client).write())
    await asyncio.sleep(0.06)
    client.is_reading.clear()
    n_read = len(client.bodies)
    await asyncio.sleep(0.1)
    client.is_reading.set()
    await asyncio.sleep(0.001)
    assert client.bodies[n_read:] == [b":"]
    task.cancel()


async def test_nothing_is_sent_after_the_end() -> None:
    client = Client()
    await writer(Source(texts("a")), client).write()
    n_sent = len(client.messages)
    await asyncio.sleep(0.1)
    assert len(client.messages) == n_sent


@pytest.mark.item(39)
async def test_an_error_before_the_first_frame_leaves_the_status_open() -> None:
    client, source = Client(), Source([Progress(stage="parsing"), EngineFailed("x")])
    failing = writer(source, client)
    with pytest.raises(EngineFailed):
        await failing.write()
    assert (failing.has_begun, client.messages) == (False, [])


@pytest.mark.item(40, 56)
@pytest.mark.parametrize("pause", [0.0, 0.01])
async def test_an_error_after_a_frame_comes_after_it(pause: float) -> None:
    client = Client()
    failing = writer(Source([*texts("a", "b"), pause, EngineFailed("x")]), client)
    with pytest.raises(EngineFailed):
        await failing.write()
    await failing.fail(EngineFailed("x"))
    assert (b"".join(client.bodies), client.messages[-1]["more_body"]) == (b"ab[x]", False)


@pytest.mark.item(46)
@pytest.mark.parametrize("steps", [[60.0], [*texts("a"), 60.0]])
async def test_cancellation_closes_the_source_before_it_returns(steps: list[Step]) -> None:
    source = Source(steps)
    task = asyncio.create_task(writer(source, Client()).write())
    await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert source.is_closed


async def test_a_client_that_does_not_read_stops_the_source() -> None:
    client, source = Client(), Source(texts(*("x" for _ in range(2000))))
    client.is_reading.clear()
    task = asyncio.create_task(writer(source, client).write())
    await asyncio.sleep(0.005)
    n_yielded = source.n_yielded
    client.is_reading.set()
    await task
    assert (n_yielded < 600, b"".join(client.bodies)) == (True, b"x" * 2000)


async def impatient() -> AsyncGenerator[ChatEvent, None]:
    """Say ``a``, wait in vain for a while, say ``b``, wait in vain again, end."""
    for text in ("a", "b"):
        yield Delta(text=text)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)


async def test_a_timeout_of_the_source_is_its_own_affair() -> None:
    client = Client()
    await writer_of(impatient(), client, CALM).write()
    assert client.bodies == [b"a", b"b", b""]


async def test_a_timeout_of_the_source_while_the_client_is_slow_loses_nothing() -> None:
    client = Client()
    client.is_reading.clear()
    asyncio.get_running_loop().call_later(0.015, client.is_reading.set)
    await writer_of(impatient(), client).write()
    assert b"".join(client.bodies) == b"ab"


@pytest.mark.item(46)
async def test_cancellation_closes_a_source_whose_client_is_slow() -> None:
    client, source = Client(), Source([*texts("a"), 60.0])
    client.is_reading.clear()
    task = asyncio.create_task(writer(source, client).write())
    await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert source.is_closed


async def test_a_source_that_never_waits_leaves_the_loop_its_turns() -> None:
    n_turns = 0

    async def count_turns() -> None:
        nonlocal n_turns
        while True:
            n_turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await writer(Source(texts(*("x" for _ in range(2000)))), Client()).write()
    counting.cancel()
    assert n_turns >= 7


async def test_an_empty_stream_is_a_whole_response() -> None:
    client = Client()
    await writer(Source([]), client).write()
    assert [message["type"] for message in client.messages] == ["http.response.start", "http.response.body"]
