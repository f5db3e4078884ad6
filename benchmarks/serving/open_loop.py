"""Questions sent on a schedule and streams that are timed delta by delta: what benchmarks put on the real service.

Open loop: when a question is sent was decided before, and its latency counts from then, whether or not the client, the
connection or an earlier answer were in the way. Knows sockets and SSE, no SDK, so that the client costs little. Every
function runs on one event loop of the client.
"""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Self, cast

from msgspec import Struct

from factories.http import Client

TOO_BUSY = 0.9
"""A client that used more of a core than this measured itself."""
LEAD_S = 0.05
_CONTENT = re.compile(rb'"content":"[^"]')
_OVERLAP = 11  # a piece may begin in one read and end in the next; a byte more would count it twice


class Arrivals(asyncio.Protocol):
    """One request on a connection of its own, and when each piece of content came back."""

    def __init__(self, request: bytes) -> None:
        """Send ``request`` when the connection is made."""
        loop = asyncio.get_running_loop()
        self.times: list[float] = []
        self.begun: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self._request = request
        self._first = self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Note the time, once for every piece."""
        now = time.perf_counter()
        self._first = self._first or data[:300]
        self.times += [now] * len(_CONTENT.findall(self._tail + data))
        self._tail = data[-_OVERLAP:]
        if self.times and not self.begun.done():
            self.begun.set_result(now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take notice of the end; without any content it was no answer."""
        if not self.begun.done():
            self.begun.set_exception(exc or ConnectionError(f"no content but {self._first!r}"))
        if not self.ended.done():
            self.ended.set_result(None)


async def exchange(client: Client, request: bytes) -> Arrivals:
    """Send a request on a new connection."""
    loop = asyncio.get_running_loop()
    _, arrivals = await loop.create_connection(lambda: Arrivals(request), *client.service.host_and_port)
    return arrivals


async def ask_on_schedule(
    client: Client, requests: Sequence[bytes], *, n_conversations: int, every_s: float, n_turns: int
) -> list[float]:
    """Ask ``n_turns`` questions in each conversation; return seconds from when each was due to its first content.

    Conversations take turns, evenly over ``every_s``; with 0 all questions are due at once.
    """
    begin = time.perf_counter() + LEAD_S
    due = [
        begin + every_s * (turn + number / n_conversations)
        for turn in range(n_turns)
        for number in range(n_conversations)
    ]
    return await asyncio.gather(*(_ask_at(client, requests[n % len(requests)], at) for n, at in enumerate(due)))


async def _ask_at(client: Client, request: bytes, due: float) -> float:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    arrivals = await exchange(client, request)
    first = await arrivals.begun
    await arrivals.ended
    return first - due


class PacedStreams:
    """Streams that a scripted model paces, open while in the context; how late each of their deltas came."""

    def __init__(self, client: Client, request: bytes, *, n_streams: int, pace_s: float) -> None:
        self._client, self._request = client, request
        self._n_streams, self._pace_s = n_streams, pace_s
        self._streams: list[Arrivals] = []

    def late_s(self) -> list[float]:
        """Return, for every delta after the first, the time since the one before it beyond the pace."""
        return [after - before - self._pace_s for one in self._streams for before, after in pairwise(one.times)]

    async def __aenter__(self) -> Self:
        for _ in range(self._n_streams):
            self._streams.append(await exchange(self._client, self._request))
            await asyncio.sleep(self._pace_s / self._n_streams)
        return self

    async def __aexit__(self, *_: object) -> None:
        n_ended = sum(stream.ended.done() for stream in self._streams)
        for stream in self._streams:
            assert stream.transport is not None
            stream.transport.abort()
            with suppress(ConnectionError):
                await stream.begun
        assert n_ended == 0, f"{n_ended} streams ended before the measurement did; their script is too short"


class Cpu(Struct):
    """Of how much of a core this process made use."""

    cores: float = 0.0

    @property
    def verdict(self) -> str:
        """Whether what this process measured counts."""
        word = "VOID, it measured itself" if self.cores > TOO_BUSY else "fine"
        return f"client used {self.cores:.2f} of a core: {word}"


@contextmanager
def own_cpu() -> Iterator[Cpu]:
    """Measure this process's own CPU."""
    cpu = Cpu()
    wall, begun = time.perf_counter(), _cpu_s()
    yield cpu
    cpu.cores = (_cpu_s() - begun) / (time.perf_counter() - wall)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
