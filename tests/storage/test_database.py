"""What the real database keeps beyond the contract: restarts, groups, migrations, full disks, neighbors, kills."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from msgspec.structs import asdict, replace

from factories.storage import NOON, WORKSPACE, make_file, make_key
from longscroll.errors import Overloaded, StartupError, StorageFull
from longscroll.storage.base import Outcome
from longscroll.storage.connections import ConnectionOptions
from longscroll.storage.database import Database, DatabaseOptions
from longscroll.storage.lock import Door, is_held
from longscroll.storage.migrations.versions import r0001_files_and_keys
from longscroll.storage.schema import files, metadata, workspaces
from longscroll.storage.sqlite import Sqlite
from longscroll.types import File, FileStatus, Progress

WRITER = """
import asyncio, sys
from pathlib import Path
from factories.storage import make_file
from longscroll.storage.database import Database

async def add(database):
    while True:
        file = await database.files.add(make_file())
        print(file.id, flush=True)

async def main():
    async with Database(Path(sys.argv[1])) as database:
        await asyncio.gather(*(add(database) for _ in range(8)))

asyncio.run(main())
"""


OPENER = """
import asyncio, os, sys
from pathlib import Path
from factories.storage import make_file
from longscroll.storage.database import Database

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Database(Path(sys.argv[1])) as database:
        print((await database.files.add(make_file(id=f"file-fe-{os.getpid()}"))).sequence)

asyncio.run(main())
"""


def make_database_of_step_1(path: Path) -> File:
    """Make a database as the first version left it, with one file that a dead process had claimed."""
    file = make_file(sequence=1, attempt=1)
    values = asdict(file) | {"fence": 1, "lease_owner": "dead", "lease_until": NOON}
    backend = Sqlite(path, n_readers=1, busy_timeout_s=1)
    with backend.writing() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            r0001_files_and_keys.upgrade()
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0001')")
        connection.exec_driver_sql("UPDATE counters SET value = 1")
        connection.execute(sa.insert(workspaces), {"id": WORKSPACE, "created_at": NOON})
        connection.execute(sa.insert(files), {name: value for name, value in values.items() if name != "progress"})
    backend.close()
    return file


def opened_at_once(path: Path, *, n_processes: int) -> list[int]:
    """Have processes open the database at one moment and add a file each; return the places of the files."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(n_processes)
    ]
    for opener in openers:
        assert opener.stdout is not None
        opener.stdout.readline()
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("\n")
        opener.stdin.flush()
    return sorted(int(opener.communicate()[0]) for opener in openers)


async def everything(database: Database) -> list[File]:
    return (await database.files.numbered_page(WORKSPACE, number=1, size=10_000))[0]


def killed_after(path: Path, *, n_lines: int) -> list[str]:
    """Run the writer, kill it in the middle of its work, and return the ids that it printed as added."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        printed = [writer.stdout.readline().strip() for _ in range(n_lines)]
        writer.kill()
        return printed + writer.stdout.read().split()


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    path, key = tmp_path / "longscroll.db", make_key()
    async with Database(path) as database:
        added = [await database.files.add(make_file()) for _ in range(3)]
        claim = await database.files.claim("parser-1", now=NOON, lease_s=30)
        await database.keys.add_key(key)
    async with Database(path) as database:
        assert [file.id for file in await everything(database)] == [file.id for file in added[::-1]]
        assert claim is not None
        assert await database.files.publish(claim, Outcome(status=FileStatus.PROCESSED)) is True
        assert await database.keys.find_key(key.digest) == key
        assert (await database.files.add(make_file())).sequence == 4


async def test_two_hundred_writes_at_once_are_all_there_in_one_sequence(database: Database) -> None:
    added = await asyncio.gather(*(database.files.add(make_file()) for _ in range(200)))
    assert sorted(file.sequence for file in added) == list(range(1, 201))
    assert {file.id for file in await everything(database)} == {file.id for file in added}


async def test_one_failing_write_of_a_group_fails_alone(database: Database) -> None:
    taken = await database.files.add(make_file())
    batch = [make_file() for _ in range(20)] + [make_file(id=taken.id)]
    results = await asyncio.gather(*(database.files.add(file) for file in batch), return_exceptions=True)
    assert [type(result) for result in results] == [File] * 20 + [ValueError]
    assert (await database.files.totals(WORKSPACE))[0] == 21


async def test_a_write_is_carried_out_when_its_caller_is_canceled(database: Database) -> None:
    file = make_file()
    writing = asyncio.create_task(database.files.add(file))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await database.files.add(make_file())
    assert await database.files.get(WORKSPACE, file.id) is not None


async def test_more_writes_than_may_wait_are_refused_at_once(tmp_path: Path) -> None:
    options = DatabaseOptions(connections=ConnectionOptions(max_waiting_writes=3))
    async with Database(tmp_path / "longscroll.db", options) as database:
        held = sqlite3.connect(tmp_path / "longscroll.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.create_task(database.files.add(make_file())) for _ in range(10)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        held.rollback()
        held.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert done
    assert {type(result) for result in results} == {File, Overloaded}


async def test_a_database_held_by_a_neighbor_is_overloaded_not_broken(tmp_path: Path) -> None:
    async with Database(tmp_path / "longscroll.db", DatabaseOptions(busy_timeout_s=0.05)) as database:
        held = sqlite3.connect(tmp_path / "longscroll.db", isolation_level=None)
        held.execute("BEGIN IMMEDIATE")
        with pytest.raises(Overloaded):
            await database.files.add(make_file())
        held.rollback()
        held.close()
        assert (await database.files.add(make_file())).sequence == 1


async def test_a_full_disk_is_said_reads_go_on_and_space_heals_it(database: Database) -> None:
    first = await database.files.add(make_file())
    limit = sa.text("PRAGMA max_page_count")
    with database.backend.writing() as connection:
        before = connection.execute(limit).scalar_one()
        connection.execute(sa.text("PRAGMA max_page_count = 1"))
    with pytest.raises(StorageFull):
        await asyncio.gather(*(database.files.add(make_file(filename="x" * 4000)) for _ in range(30)))
    assert await database.files.get(WORKSPACE, first.id) == first
    with database.backend.writing() as connection:
        connection.execute(sa.text(f"PRAGMA max_page_count = {before}"))
    assert await database.files.add(make_file(filename="x" * 4000)) is not None


async def test_two_processes_on_one_database_never_claim_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path) as one, Database(path) as other:
        added = await asyncio.gather(*(one.files.add(make_file()) for _ in range(30)))
        claims = await asyncio.gather(
            *(side.files.claim(f"{n}", now=NOON, lease_s=30) for n in range(20) for side in (one, other))
        )
    assert sorted(claim.file.id for claim in claims if claim) == sorted(file.id for file in added)


async def test_a_removed_row_leaves_no_byte_in_the_folder(tmp_path: Path) -> None:
    def is_found() -> bool:
        return any("绝密文件".encode() in path.read_bytes() for path in tmp_path.iterdir())

    async with Database(tmp_path / "longscroll.db") as database:
        file = await database.files.add(make_file(filename="绝密文件.pdf"))
        was_found = is_found()
        await database.files.mark_deleting(WORKSPACE, file.id)
        await database.files.remove(WORKSPACE, file.id)
        await database.files.add(make_file())  # the wipe ran before this write
        assert (was_found, is_found()) == (True, False)


async def test_migrations_from_nothing_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    async with Database(tmp_path / "longscroll.db") as database:
        with database.backend.writing() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_a_database_of_the_first_version_keeps_its_rows_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    file = await asyncio.to_thread(make_database_of_step_1, path)
    async with Database(path) as database:
        assert await everything(database) == [file]
        claim = await database.files.claim("parser-1", now=NOON, lease_s=30)
        assert claim is not None
        progress = Progress(stage="parsing", n_done=1)
        assert await database.files.renew(claim, now=NOON, lease_s=30, progress=progress) is True
        assert await everything(database) == [replace(file, attempt=2, progress=progress)]
        assert (await database.files.add(make_file())).sequence == 2


async def test_processes_that_open_a_new_database_at_once_all_find_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    assert await asyncio.to_thread(opened_at_once, path, n_processes=3) == [1, 2, 3]


async def test_processes_that_open_an_old_database_at_once_bring_it_up_to_date_once(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    file = await asyncio.to_thread(make_database_of_step_1, path)
    assert await asyncio.to_thread(opened_at_once, path, n_processes=3) == [2, 3, 4]
    async with Database(path) as database:
        assert await database.files.get(WORKSPACE, file.id) == file


async def test_who_waits_to_write_is_next_though_a_busy_neighbor_wants_to_write_again(tmp_path: Path) -> None:
    path, order = tmp_path / "longscroll.db", list[str]()
    busy, waiting = (Sqlite(path, n_readers=1, busy_timeout_s=10) for _ in range(2))

    def keep_writing() -> None:
        for _ in range(20):
            with busy.writing():
                order.append("busy")
                until = time.monotonic() + 2
                while "waiting" not in order and not is_held(tmp_path / "longscroll.db-door"):
                    assert time.monotonic() < until, "somebody waits"
                    time.sleep(0.001)

    with closing(busy), closing(waiting):
        writing = asyncio.create_task(asyncio.to_thread(keep_writing))
        while not order:
            await asyncio.sleep(0.001)
        with waiting.writing():
            order.append("waiting")
        await writing
    assert order == ["busy", "waiting", *["busy"] * 19]


async def test_a_neighbor_that_stays_in_the_door_is_overloaded_not_broken(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path, DatabaseOptions(busy_timeout_s=0.05)) as database:
        with closing(Door(tmp_path / "longscroll.db-door")) as door, door.standing(timeout_s=1):
            with pytest.raises(Overloaded):
                await database.files.add(make_file())
            with pytest.raises(StartupError, match="held by another process"):
                await Database(path, DatabaseOptions(busy_timeout_s=0.05)).open()
        assert (await database.files.add(make_file())).sequence == 1


async def test_every_promise_to_the_disk_is_switched_on(tmp_path: Path) -> None:
    async with Database(tmp_path / "longscroll.db") as database:
        with database.backend.writing() as connection:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
            }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 10_000,
    }


async def test_neighbors_that_open_a_new_database_at_once_all_find_its_tables(tmp_path: Path) -> None:
    databases = [Database(tmp_path / "longscroll.db") for _ in range(4)]
    await asyncio.gather(*(database.open() for database in databases))
    added = [(await database.files.add(make_file())).sequence for database in databases]
    await asyncio.gather(*(database.close() for database in databases))
    assert added == [1, 2, 3, 4]


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    async with Database(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StartupError, match=r"newer Longscroll .* step 9999"):
        await Database(path).open()
    assert rows(path, "SELECT version_num FROM alembic_version") == [("9999",)]


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    path.write_bytes(b"This is not a database. " * 1000)
    with pytest.raises(StartupError, match=r"longscroll\.db cannot be opened as a database"):
        await Database(path).open()


async def test_closing_finishes_the_writes_that_wait_and_ends_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    database = Database(path)
    await database.open()
    writing = [asyncio.create_task(database.files.add(make_file())) for _ in range(50)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writing)
    assert rows(path, "SELECT count(*) FROM files") == [(50,)]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("database")] == []


async def test_a_killed_writer_loses_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "longscroll.db"
    acknowledged = await asyncio.to_thread(killed_after, path, n_lines=200)
    async with Database(path) as database:
        stored = {file.id for file in await everything(database)}
    assert len(acknowledged) >= 200
    assert set(acknowledged) <= stored
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_only_what_is_to_be_forced_waits_for_the_disk(tmp_path: Path) -> None:
    backend = Sqlite(tmp_path / "longscroll.db", n_readers=1, busy_timeout_s=1)
    waits = []
    for is_forced in (True, False, False, True):
        with backend.writing(is_forced=is_forced) as connection:
            waits.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    backend.force()
    backend.close()
    assert waits == [2, 1, 1, 2]  # FULL, NORMAL
