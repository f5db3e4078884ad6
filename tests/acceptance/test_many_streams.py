"""A thousand streams at once, slow readers and clients that vanish among them: all get their bytes, nothing is left."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from factories.crowds import Crowd, connect, footprint, gather, listen, read_slowly, write_script
from factories.http import Client
from factories.observed import ObservedService
from factories.raw_chats import Surface, chat_request

pytestmark = pytest.mark.slow

N_DESCRIPTORS = 4096
MAX_KB_PER_SLOW_STREAM = 256
SETTLE_S = 1.0
STILL_CORES = 0.15  # what a service with an observer takes for nothing


@pytest.fixture(scope="module", autouse=True)
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(N_DESCRIPTORS, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedService]:
    folder = tmp_path_factory.mktemp("crowd")
    with ObservedService(folder / "data", arguments=write_script(folder)) as running:
        yield running


@pytest.mark.timeout(300)
async def test_a_thousand_streams_are_right_to_the_byte_and_leave_nothing(service: ObservedService) -> None:
    client, crowd = Client(service), Crowd()
    alone = await listen(client, chat_request(client, "go on", model="scripted"))
    await gather(service, crowd, seed=1)  # an allocator keeps what the first crowd needed
    await asyncio.sleep(SETTLE_S)
    before = footprint(service)
    gatherings = [await gather(service, crowd, seed=seed) for seed in (2, 3)]
    await asyncio.sleep(SETTLE_S)
    after = footprint(service)
    grown = after.rss_bytes / before.rss_bytes - 1
    sys.stdout.write(f"\nresident memory after a crowd {before.rss_bytes / 1e6:.0f} MB, after two more {grown:+.1%}\n")
    assert Counter(body for gathering in gatherings for body in gathering.bodies) == {alone: 2 * crowd.n_listening}
    assert min(gathering.n_at_once for gathering in gatherings) >= crowd.n_listening + crowd.n_slow
    assert (after.tasks, after.n_connections, after.children) == (before.tasks, 0, before.children)
    assert after.n_threads <= before.n_threads
    assert grown <= 0.05


@pytest.mark.parametrize(("question", "n_slow"), [("flood", 100), ("burst", 10)])
@pytest.mark.parametrize("surface", ["compat", "native"])
async def test_a_client_that_reads_a_byte_a_second_holds_bounded_memory(
    tmp_path: Path, surface: Surface, question: str, n_slow: int
) -> None:
    with ObservedService(tmp_path / "data", arguments=write_script(tmp_path)) as service:
        client, enough = Client(service), asyncio.Event()
        request = chat_request(client, question, surface=surface, model="scripted")
        reading = [asyncio.create_task(read_slowly(client, request, enough))]  # what the first one needs is not theirs
        await asyncio.to_thread(until_still, service)
        before = footprint(service)
        reading += [asyncio.create_task(read_slowly(client, request, enough)) for _ in range(n_slow)]
        await asyncio.to_thread(until_still, service)
        held_kb = (footprint(service).rss_bytes - before.rss_bytes) / n_slow / 1024
        n_held = service.n_requests()
        enough.set()
        await asyncio.gather(*reading)
        left_s = await asyncio.to_thread(ended_within, service)
    sys.stdout.write(f"\n{question}, {surface}: {held_kb:.0f} KB a slow reader; let go after {left_s * 1e3:.0f} ms\n")
    assert n_held == len(reading)
    assert held_kb <= MAX_KB_PER_SLOW_STREAM


def until_still(service: ObservedService) -> None:
    """Wait until a service has written all that the sockets of its clients hold."""
    process, spent_s = psutil.Process(service.process.pid), -1.0
    time.sleep(1)
    while (now_s := sum(process.cpu_times()[:2])) > spent_s + STILL_CORES:
        spent_s = now_s
        time.sleep(1)


def ended_within(service: ObservedService) -> float:
    """Wait until nothing is served and return how long that took."""
    begun = time.perf_counter()
    return service.ended_at() - begun


async def test_more_clients_than_descriptors_are_turned_away_and_the_others_served(service: ObservedService) -> None:
    client, process = Client(service), psutil.Process(service.process.pid)
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    talk = chat_request(client, "go on", model="scripted")
    alone = await listen(client, talk)
    listening = asyncio.gather(*(listen(client, talk) for _ in range(20)))
    await asyncio.sleep(0.2)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 50, hard))
    idle = [await connect(client, b"") for _ in range(200)]
    begun, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
    bodies = await listening
    cores = (sum(process.cpu_times()[:2]) - cpu_s) / (time.monotonic() - begun)
    for connection in idle:
        connection.close()
    assert Counter(bodies) == {alone: 20}
    assert cores < 0.5, "it spins where it cannot accept"
    assert await listen(client, talk) == alone
    process.rlimit(psutil.RLIMIT_NOFILE, (soft, hard))
