"""Nothing of a removed file is left in any file of the folder: not its bytes, nor a word of its row."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from factories.storage import NOON, WORKSPACE, make_file, put_blob
from longscroll.storage.base import Outcome, blob_prefix
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.sql_files import SqlFiles
from longscroll.types import File, FileStatus, Progress

CANARIES = {kind: f"canary-{kind}-71c0ffee" for kind in ("bytes", "filename", "details", "progress")}

READING_NEIGHBOR = """
import sys, time
from pathlib import Path
from longscroll.storage.sqlite import Sqlite

backend = Sqlite(Path(sys.argv[1]), n_readers=1, busy_timeout_s=10)
print("reads", flush=True)
while True:
    with backend.reading() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM files")
        time.sleep(0.04)
    time.sleep(0.01)
"""

KILLED_BEFORE_THE_WIPE = """
import asyncio, os, signal, sys
from pathlib import Path
from longscroll.storage.database import Database
from longscroll.telemetry import Moment, observe_moments

def kill(moment):
    if moment is Moment.ROW_COMMITTED:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with Database(Path(sys.argv[1])) as database:
        await database.files.mark_deleting("acme", sys.argv[2])
        observe_moments(kill)
        await database.files.remove("acme", sys.argv[2])

asyncio.run(main())
"""


def seen(folder: Path) -> set[str]:
    """Return which canaries a raw look at every name and every byte finds."""
    contents = [path.name.encode() + path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {kind for kind, canary in CANARIES.items() if any(canary.encode() in content for content in contents)}


async def until_unseen(folder: Path) -> float:
    """Return after how many seconds no canary is seen; give up after ten."""
    start = time.monotonic()
    while seen(folder) and time.monotonic() < start + 10:
        await asyncio.sleep(0.01)
    return time.monotonic() - start


async def add_with_canaries(files: SqlFiles, blobs: LocalBlobs) -> File:
    """Bring a file to its end and leave a canary in everything that it has."""
    file = await files.add(make_file(filename=f"{CANARIES['filename']}.txt"))
    await put_blob(blobs, blob_prefix(WORKSPACE, file.id) + "bytes", CANARIES["bytes"].encode())
    claim = await files.claim("parser-1", now=NOON, lease_s=30)
    assert claim is not None
    await files.renew(claim, now=NOON, lease_s=30, progress=Progress(stage="parsing", file_id=CANARIES["progress"]))
    await files.publish(claim, Outcome(status=FileStatus.ERROR, status_details=CANARIES["details"]))
    return file


@contextmanager
def neighbor(path: Path) -> Iterator[None]:
    """Have another process read the database, with pauses, for one block."""
    with subprocess.Popen([sys.executable, "-c", READING_NEIGHBOR, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


async def test_within_a_second_nothing_is_left_though_a_neighbor_reads(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path) as database, LocalBlobs(tmp_path / "blobs") as blobs:
        with neighbor(path):
            for _ in range(5):
                file = await add_with_canaries(database.files, blobs)
                before = seen(tmp_path)
                await database.files.mark_deleting(WORKSPACE, file.id)
                await blobs.delete_prefix(blob_prefix(WORKSPACE, file.id))
                await database.files.remove(WORKSPACE, file.id)
                assert before == set(CANARIES)
                assert await until_unseen(tmp_path) < 1


async def test_what_a_killed_process_had_no_time_to_wipe_is_wiped_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path) as worker:  # has the database open all the time, so that nobody's end folds its log
        file = await worker.files.add(make_file(filename=CANARIES["filename"]))
        command = [sys.executable, "-c", KILLED_BEFORE_THE_WIPE, str(path), file.id]
        killed = await asyncio.create_subprocess_exec(*command)
        assert (await killed.wait(), seen(tmp_path)) == (-9, {"filename"})
        with neighbor(path):
            async with Database(path):
                assert await until_unseen(tmp_path) < 1


async def test_a_reader_that_stays_delays_the_wipe_but_no_write(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path) as database:
        file = await database.files.add(make_file(filename=CANARIES["filename"]))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM files").fetchall()
            await database.files.mark_deleting(WORKSPACE, file.id)
            await database.files.remove(WORKSPACE, file.id)
            added = [(await database.files.add(make_file())).sequence for _ in range(5)]
            assert (added, seen(tmp_path)) == ([2, 3, 4, 5, 6], {"filename"})
        assert await until_unseen(tmp_path) < 2


async def test_closing_wipes_what_is_left_to_wipe_when_the_reader_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path):
        async with Database(path) as database:
            file = await database.files.add(make_file(filename=CANARIES["filename"]))
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM files").fetchall()
                await database.files.mark_deleting(WORKSPACE, file.id)
                await database.files.remove(WORKSPACE, file.id)
        assert seen(tmp_path) == set()


async def test_whatever_rows_went_through_no_word_of_a_removed_one_is_left(tmp_path: Path) -> None:
    history = History(random.Random(20260301))
    async with Database(tmp_path / "longscroll.db") as database:
        for _ in range(250):
            await history.step(database.files)
        await history.remove(database.files)
        await asyncio.sleep(0.5)
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(history.gone) > 50
    assert [word for word in history.gone if word.encode() in stored] == []


class History:
    """Rows that come, change and go at random; every text that a row ever held begins with a word of its own."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.words: dict[str, list[str]] = {}  # by file
        self.gone: list[str] = []

    async def step(self, files: SqlFiles) -> None:
        """Add, ingest or remove a file."""
        act = self.chance.choice((self.add, self.add, self.ingest, self.remove))
        await act(files)

    async def add(self, files: SqlFiles) -> None:
        file = make_file()
        self.words[file.id] = []
        await files.add(make_file(id=file.id, filename=self.text(file.id), description=self.text(file.id)))

    async def ingest(self, files: SqlFiles) -> None:
        claim = await files.claim("parser-1", now=NOON, lease_s=0)
        if claim is None:
            return
        for _ in range(3):
            progress = Progress(stage="parsing", file_id=self.text(claim.file.id), n_done=self.chance.randrange(10**6))
            await files.renew(claim, now=NOON, lease_s=0, progress=progress)
        outcome = Outcome(status=FileStatus.ERROR, status_details=self.text(claim.file.id))
        await (files.publish(claim, outcome) if self.chance.random() < 0.5 else files.release(claim))

    async def remove(self, files: SqlFiles) -> None:
        if self.words:
            file_id = self.chance.choice(list(self.words))
            await files.mark_deleting(WORKSPACE, file_id)
            await files.remove(WORKSPACE, file_id)
            self.gone += self.words.pop(file_id)

    def text(self, file_id: str) -> str:
        word = f"{self.chance.getrandbits(64):016x}"
        self.words[file_id].append(word)
        return word + "." * self.chance.choice((0, 10, 200, 5000))
