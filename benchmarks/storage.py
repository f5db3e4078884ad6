"""Durable writes per second and the cost of knowing a caller, beside the standard library's sqlite3 in the same run.

    python benchmarks/storage.py [--writes N] [--rounds N]

Then what a claim costs with many files waiting, alone and beside a process that writes without a pause.

Every acknowledged write is on the disk (WAL, ``synchronous=FULL``). The peer commits each row by itself in one thread,
as code without group commit does, with as wide a row. Rounds are interleaved; the table shows medians.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from factories.storage import make_file
from longscroll.access.keys import Keys
from longscroll.storage.base import Claim, FileStore
from longscroll.storage.database import Database
from longscroll.types import Progress

N_AUTHENTICATIONS = 50_000
N_WAITING = 10_000
N_CLAIMS = 200
LEASE_S = 3.0

NEIGHBOR = """
import asyncio, os, sys
from pathlib import Path
from factories.storage import make_file
from longscroll.storage.database import Database

async def keep_adding(database):
    while True:
        await database.files.add(make_file(workspace=f"neighbor-{os.getpid()}"))

async def main():
    async with Database(Path(sys.argv[1])) as database:
        print("writes", flush=True)
        await asyncio.gather(*(keep_adding(database) for _ in range(int(sys.argv[2]))))

asyncio.run(main())
"""


async def per_second(n_times: int, work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return n_times / (time.perf_counter() - start)


async def together(database: Database, n_writes: int) -> None:
    await asyncio.gather(*(database.files.add(make_file()) for _ in range(n_writes)))


async def one_by_one(database: Database, n_writes: int) -> None:
    for _ in range(n_writes):
        await database.files.add(make_file())


async def peer(path: Path, n_writes: int) -> None:
    def write() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS files (workspace, id, row, PRIMARY KEY (workspace, id))")
        for _ in range(n_writes):
            file = make_file()
            row = (file.workspace, file.id, msgspec.json.encode(file))
            connection.execute("INSERT INTO files VALUES (?, ?, ?)", row)
        connection.close()

    await asyncio.to_thread(write)


async def authenticate(keys: Keys, authorization: str) -> None:
    for _ in range(N_AUTHENTICATIONS):
        await keys.authenticate(authorization)


async def measure(folder: Path, n_writes: int, n_rounds: int) -> dict[str, float]:
    results: dict[str, list[float]] = {}
    async with Database(folder / "longscroll.db") as database:
        keys = Keys(database.keys, b"p" * 32, clock=lambda: datetime.now(UTC))
        plaintext, _ = await keys.create("acme", name="benchmark")
        n_few = n_writes // 4
        for _ in range(n_rounds):
            for name, n_times, work in (
                ("sqlite3, a commit per row", n_few, lambda: peer(folder / "peer.db", n_few)),
                ("one writer, one write at a time", n_few, lambda: one_by_one(database, n_few)),
                (f"group commit, {n_writes} at once", n_writes, lambda: together(database, n_writes)),
                ("authenticate, cached", N_AUTHENTICATIONS, lambda: authenticate(keys, f"Bearer {plaintext}")),
            ):
                results.setdefault(name, []).append(await per_second(n_times, work))
    return {name: statistics.median(rates) for name, rates in results.items()}


async def claims(folder: Path) -> dict[str, list[float]]:
    """Return how long claims took, in ms, by what waits and who writes beside."""
    times: dict[str, list[float]] = {}
    for n_workspaces in (1, 50):
        path = folder / f"waiting-{n_workspaces}.db"
        async with Database(path) as database:
            files = (
                make_file(workspace=f"workspace-{number % n_workspaces}", size_bytes=number * 7919 % 100_003)
                for number in range(N_WAITING)
            )
            await asyncio.gather(*(database.files.add(file) for file in files))
            times[f"claim, {n_workspaces} workspaces"] = await claim_times(database.files)
            times[f"renew with progress, {n_workspaces} workspaces"] = await renewal_times(database.files)
    for n_at_once in (1, 64):
        with writing_neighbor(path, n_at_once):
            async with Database(path) as database:
                times[f"claim, a neighbor adds {n_at_once} at once"] = await claim_times(database.files)
    return times


async def claim_times(files: FileStore) -> list[float]:
    now = datetime.now(UTC)
    return [await ms(files.claim("benchmark", now=now, lease_s=LEASE_S)) for _ in range(N_CLAIMS)]


async def renewal_times(files: FileStore) -> list[float]:
    claim = await files.claim("benchmark", now=datetime.now(UTC) + timedelta(seconds=LEASE_S), lease_s=LEASE_S)
    assert isinstance(claim, Claim), "files wait"
    return [await ms(renew(files, claim, n_done)) for n_done in range(N_CLAIMS)]


async def renew(files: FileStore, claim: Claim, n_done: int) -> None:
    progress = Progress(stage="parsing", file_id=claim.file.id, n_done=n_done, n_total=N_CLAIMS, per_s=90.5, left_s=2.0)
    await files.renew(claim, now=datetime.now(UTC), lease_s=LEASE_S, progress=progress)


async def ms(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - start)


@contextmanager
def writing_neighbor(path: Path, n_at_once: int) -> Iterator[None]:
    """Have another process add files without a pause for one block."""
    command = [sys.executable, "-c", NEIGHBOR, str(path), str(n_at_once)]
    environment = {"PYTHONPATH": sys.path[0]}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as neighbor:
        assert neighbor.stdout is not None
        neighbor.stdout.readline()
        try:
            yield
        finally:
            neighbor.kill()


def main() -> None:
    options = argparse.ArgumentParser(description="Durable writes per second, cost of knowing a caller, of a claim.")
    options.add_argument("--writes", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, help="where the databases lie; the disk is what is measured")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        medians = asyncio.run(measure(Path(folder), given.writes, given.rounds))
        claimed = asyncio.run(claims(Path(folder)))
    peer_rate = next(iter(medians.values()))
    print(f"{'':34}{'per second':>12}{'each, µs':>12}{'ratio':>8}")
    for name, rate in medians.items():
        ratio = "" if name.startswith("authenticate") else f"{rate / peer_rate:.2f}"
        print(f"{name:34}{rate:12,.0f}{1e6 / rate:12.1f}{ratio:>8}")
    print(f"\n{f'{N_WAITING:,} files waiting, ms':44}{'p50':>8}{'p99':>8}{'max':>8}")
    for name, times in claimed.items():
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"{name:44}{p50:8.2f}{p99:8.2f}{max(times):8.2f}")


if __name__ == "__main__":
    main()
