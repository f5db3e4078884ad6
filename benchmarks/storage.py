"""Durable writes per second and the cost of knowing a caller, beside the standard library's sqlite3 in the same run.

    python benchmarks/storage.py [--writes N] [--rounds N]

Every acknowledged write is on the disk (WAL, ``synchronous=FULL``). The peer commits each row by itself in one thread,
as code without group commit does, with as wide a row. Rounds are interleaved; the table shows medians.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from factories.storage import make_file
from longscroll.access.keys import Keys
from longscroll.storage.database import Database

N_AUTHENTICATIONS = 50_000


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


def main() -> None:
    options = argparse.ArgumentParser(description="Durable writes per second, cost of knowing a caller.")
    options.add_argument("--writes", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--folder", type=Path, help="where the databases lie; the disk is what is measured")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        medians = asyncio.run(measure(Path(folder), given.writes, given.rounds))
    peer_rate = next(iter(medians.values()))
    print(f"{'':34}{'per second':>12}{'each, µs':>12}{'ratio':>8}")
    for name, rate in medians.items():
        ratio = "" if name.startswith("authenticate") else f"{rate / peer_rate:.2f}"
        print(f"{name:34}{rate:12,.0f}{1e6 / rate:12.1f}{ratio:>8}")


if __name__ == "__main__":
    main()
