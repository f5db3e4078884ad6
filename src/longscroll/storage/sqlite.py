"""What is particular to SQLite: how to connect, what its errors mean, how to wipe what was deleted.

Owns the pragmas and both engines of one database file. Knows no table. Another database is another module with the
same six verbs: ``writing``, ``force``, ``reading``, ``scrub``, ``spend_reserve``, ``close``.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from longscroll.errors import LongscrollError, Overloaded, StartupError, StorageFull
from longscroll.storage.lock import Door
from longscroll.storage.reserve import Reserve

WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",  # an acknowledged row survives a power cut, not only a kill; see ``writing``
    "foreign_keys = ON",
    "secure_delete = ON",
)
READER_PRAGMAS = ("query_only = ON",)
SCRUB_WAIT_MS = 100
OPENING_PAUSE_S = 0.01
HELD = "The database is held by another process; ask again later."


class Sqlite:
    """One database file. ``writing`` is for one thread; ``reading`` is for as many as ``n_readers``.

    Several processes may write. SQLite has who waits look again ever more seldom, so that a busy neighbor keeps the
    write lock for seconds; therefore whoever is next stands in a door, which the neighbor has to pass again.

    Raises:
        StartupError: the file cannot be opened, or is no database.
    """

    def __init__(self, path: Path, *, n_readers: int, busy_timeout_s: float) -> None:
        self._busy_timeout_s = busy_timeout_s
        self._log = path.with_name(path.name + "-wal")
        self._forces = True  # what the pragma says
        self._reserve = Reserve(path.with_name(path.name + "-reserve"))
        try:
            self._door = Door(path.with_name(path.name + "-door"))
        except OSError as error:
            raise _cannot_be_opened(path, error.strerror) from error
        self._writer = self._engine(path, pragmas=WRITER_PRAGMAS, begin=self._begin_writing, n_connections=1)
        self._reader = self._engine(path, pragmas=READER_PRAGMAS, begin=_begin_reading, n_connections=n_readers)
        try:
            self._check(until=time.monotonic() + busy_timeout_s)
        except (DBAPIError, LongscrollError) as error:
            self.close()
            raise _cannot_be_opened(path, error.orig if isinstance(error, DBAPIError) else error) from error

    def _check(self, *, until: float) -> None:
        """Read a first row. Turning a new file to WAL is the one step that does not wait for a neighbor by itself."""
        while True:
            try:
                with _translated(), self._writer.connect() as connection:
                    connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
            except Overloaded:
                if time.monotonic() >= until:
                    raise
            else:
                return
            time.sleep(OPENING_PAUSE_S)

    @contextmanager
    def writing(self, *, is_forced: bool = True) -> Iterator[sa.Connection]:
        """Open a transaction that holds the write lock from its first statement; durable when the block has ended.

        One that is not forced is in the write-ahead log by then, which outlives the process; a power cut may take it
        until the next forced one, or ``force``, and the database stays whole without it.

        Raises:
            StorageFull: no space is left.
            Overloaded: another process held the write lock for longer than the timeout.
        """
        with _translated():
            if is_forced is not self._forces:
                self._set_forcing(is_forced)
            with self._writer.begin() as connection:
                yield connection

    def force(self) -> None:
        """Force the write-ahead log to the disk. No lock of SQLite is on that file, which closing it would end."""
        descriptor = os.open(self._log, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a snapshot of all that is committed."""
        with _translated(), self._reader.connect() as connection:
            yield connection

    def scrub(self) -> bool:
        """Empty the write-ahead log, which still holds deleted rows; False when that could not be done now.

        A neighbor's reader or writer may stand in the way, or a full disk. Waits for them a moment, as a neighbor's
        writer waits for this.
        """
        connection = self._writer.raw_connection()
        try:
            return self._truncate_log(connection.cursor())
        except Overloaded:
            return False
        except sqlite3.OperationalError as error:
            if _meaning(error) is None:
                raise
            return False
        finally:
            connection.close()
            self._reserve.keep()

    def spend_reserve(self) -> None:
        """Give the space back to the disk that is kept for deletions, until the next scrub."""
        self._reserve.spend()

    def _truncate_log(self, cursor: DBAPICursor) -> bool:
        cursor.execute(f"PRAGMA busy_timeout = {SCRUB_WAIT_MS}")
        try:
            with self._next_in_line():
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                is_blocked, *_ = cursor.fetchone() or (True,)
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout_s * 1000)}")
        return not is_blocked

    def close(self) -> None:
        """Close every connection; the last one of all processes folds the write-ahead log into the file."""
        self._reader.dispose()
        self._writer.dispose()
        self._door.close()

    def _set_forcing(self, is_forced: bool) -> None:
        connection = self._writer.raw_connection()
        try:
            connection.cursor().execute(f"PRAGMA synchronous = {'FULL' if is_forced else 'NORMAL'}")
        finally:
            connection.close()
        self._forces = is_forced

    def _begin_writing(self, connection: sa.Connection) -> None:
        with self._next_in_line():
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    @contextmanager
    def _next_in_line(self) -> Iterator[None]:
        try:
            with self._door.standing(timeout_s=self._busy_timeout_s):
                yield
        except TimeoutError as error:
            raise Overloaded(HELD) from error

    def _engine(
        self, path: Path, *, pragmas: tuple[str, ...], begin: Callable[[sa.Connection], None], n_connections: int
    ) -> sa.Engine:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            poolclass=sa.pool.QueuePool,
            pool_size=n_connections,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": self._busy_timeout_s},
        )
        sa.event.listen(engine, "connect", _configure(pragmas))
        sa.event.listen(engine, "begin", begin)
        return engine


def _begin_reading(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _configure(pragmas: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: the "begin" event does
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    return configure


def _cannot_be_opened(path: Path, reason: object) -> StartupError:
    return StartupError(f"{path} cannot be opened as a database: {str(reason).rstrip('.')}.")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        meaning = _meaning(error.orig)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: BaseException | None) -> LongscrollError | None:
    code = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StorageFull("No space is left for the database.")
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Overloaded(HELD)
    return None
