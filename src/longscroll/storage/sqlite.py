"""What is particular to SQLite: how to connect, what its errors mean, how to wipe what was deleted.

Owns the pragmas and both engines of one database file. Knows no table. Another database is another module with the
same four verbs: ``writing``, ``reading``, ``scrub``, ``close``.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from longscroll.errors import LongscrollError, Overloaded, StartupError, StorageFull

WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # an acknowledged row survives a power cut, not only a kill
    "foreign_keys = ON",
    "secure_delete = ON",
)
READER_PRAGMAS = ("query_only = ON",)
SCRUB_WAIT_MS = 100
OPENING_PAUSE_S = 0.01


class Sqlite:
    """One database file. ``writing`` is for one thread; ``reading`` is for as many as ``n_readers``.

    Raises:
        StartupError: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path, *, n_readers: int, busy_timeout_s: float) -> None:
        self._busy_timeout_ms = int(busy_timeout_s * 1000)
        self._writer = self._engine(path, pragmas=WRITER_PRAGMAS, begin="BEGIN IMMEDIATE", n_connections=1)
        self._reader = self._engine(path, pragmas=READER_PRAGMAS, begin="BEGIN", n_connections=n_readers)
        try:
            self._check(until=time.monotonic() + busy_timeout_s)
        except DBAPIError as error:
            self.close()
            reason = str(_meaning(error) or error.orig).rstrip(".")
            raise StartupError(f"{path} cannot be opened as a database: {reason}.") from error

    def _check(self, *, until: float) -> None:
        """Read a first row. Turning a new file to WAL is the one step that does not wait for a neighbor by itself."""
        while True:
            try:
                with self._writer.connect() as connection:
                    connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
            except DBAPIError as error:
                if not isinstance(_meaning(error), Overloaded) or time.monotonic() >= until:
                    raise
            else:
                return
            time.sleep(OPENING_PAUSE_S)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Open a transaction that holds the write lock from its first statement; durable when the block has ended.

        Raises:
            StorageFull: no space is left.
            Overloaded: another process held the write lock for longer than the timeout.
        """
        with _translated(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a snapshot of all that is committed."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    def scrub(self) -> bool:
        """Empty the write-ahead log, which still holds deleted rows; False when a reader stood in the way."""
        connection = self._writer.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {SCRUB_WAIT_MS}")
            is_blocked, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")
        finally:
            connection.close()
        return not is_blocked

    def close(self) -> None:
        """Close every connection; the last one of all processes folds the write-ahead log into the file."""
        self._reader.dispose()
        self._writer.dispose()

    def _engine(self, path: Path, *, pragmas: tuple[str, ...], begin: str, n_connections: int) -> sa.Engine:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            poolclass=sa.pool.QueuePool,
            pool_size=n_connections,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": self._busy_timeout_ms / 1000},
        )
        sa.event.listen(engine, "connect", _configure(pragmas))
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine


def _configure(pragmas: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: the "begin" event does
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    return configure


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: DBAPIError) -> LongscrollError | None:
    code = getattr(error.orig, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StorageFull("No space is left for the database.")
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Overloaded("The database is held by another process; ask again later.")
    return None
