"""The database of a data folder: opened, brought up to date, and handed out as stores.

Owns the wiring of dialect, threads, migrations and stores. Knows no statement and no pragma.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from longscroll.storage.connections import ConnectionOptions, Connections
from longscroll.storage.migrate import migrate
from longscroll.storage.sql_batches import SqlBatches
from longscroll.storage.sql_files import SqlFiles
from longscroll.storage.sql_keys import SqlKeys
from longscroll.storage.sql_usage import SqlUsage
from longscroll.storage.sqlite import Sqlite


class DatabaseOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a database is opened."""

    busy_timeout_s: float = 10.0
    connections: ConnectionOptions = ConnectionOptions()


class Database:
    """The stores of one database file; an async context manager, or ``open`` and ``close``.

    Several processes may have one file open: writes wait for each other.
    """

    batches: SqlBatches
    files: SqlFiles
    keys: SqlKeys
    usage: SqlUsage
    backend: Sqlite

    def __init__(self, path: Path, options: DatabaseOptions | None = None) -> None:
        self._path = path
        self._options = options or DatabaseOptions()
        self._connections: Connections | None = None

    async def open(self) -> None:
        """Create the file where it is missing, bring its tables up to date, start the threads.

        Raises:
            StartupError: the file is no database, or was written by a newer version.
            StorageFull: no space is left.
        """
        self.backend = await asyncio.to_thread(self._open_migrated)
        self._connections = Connections(self.backend, self._options.connections)
        self.batches = SqlBatches(self._connections)
        self.files = SqlFiles(self._connections)
        self.keys = SqlKeys(self._connections)
        self.usage = SqlUsage(self._connections)
        self._connections.scrub_soon()  # a process may have died between a deletion and its scrub

    async def close(self) -> None:
        """Finish the writes that wait, then close; nothing happens when it is not open."""
        if self._connections is not None:
            await self._connections.close()
            self._connections = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def _open_migrated(self) -> Sqlite:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        options = self._options
        backend = Sqlite(self._path, n_readers=options.connections.n_readers, busy_timeout_s=options.busy_timeout_s)
        is_ready = False
        try:
            with backend.writing() as connection:
                migrate(connection)
            is_ready = True
        finally:
            if not is_ready:
                backend.close()
        return backend
