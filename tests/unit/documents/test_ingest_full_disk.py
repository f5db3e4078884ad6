"""Ingestion with the real stores and the real parser on a disk that gets full."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from factories.small_disk import small_disk
from factories.storage import make_file, put_blob
from longscroll.documents.ingest import Ingest, IngestOptions, Ready
from longscroll.documents.parsers import Parsers
from longscroll.storage.base import BYTES, blob_prefix
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.memory import MemoryPresence
from longscroll.types import File, FileStatus


async def test_an_accepted_file_waits_until_there_is_room(tmp_path: Path) -> None:
    options = IngestOptions(poll_s=0.02, backoff_s=0.02, max_backoff_s=0.2)
    with small_disk(tmp_path) as disk, capture_logs() as lines:
        async with (
            Parsers(n_children=1) as parsers,
            Database(tmp_path / "longscroll.db") as database,
            LocalBlobs(tmp_path / "blobs") as blobs,
        ):
            file = await database.files.add(make_file(filename="a.txt"))
            await put_blob(blobs, blob_prefix(file.workspace, file.id) + BYTES, b"A keeper kept bees.\n")
            await asyncio.to_thread(disk.fill)
            async with Ingest(
                database.files,
                blobs,
                parsers,
                presence=MemoryPresence(),
                clock=lambda: datetime.now(UTC),
                options=options,
            ) as ingest:
                await until_n_setbacks(lines, 4)
                waiting = await database.files.get(file.workspace, file.id)
                await asyncio.to_thread(disk.empty)
                await until_ready(ingest, file)
            done = await database.files.get(file.workspace, file.id)
    assert waiting is not None
    assert done is not None
    assert (waiting.status, done.status, done.attempt) == (FileStatus.UPLOADED, FileStatus.PROCESSED, 1)
    assert {line["event"] for line in lines} == {"ingest.no_space"}


async def until_n_setbacks(lines: object, n_lines: int) -> None:
    assert isinstance(lines, list)
    async with asyncio.timeout(20):
        while len(lines) < n_lines:
            await asyncio.sleep(0.01)


async def until_ready(ingest: Ingest, file: File) -> None:
    async with asyncio.timeout(20), aclosing(ingest.watch(file.workspace, file.id)) as events:
        async for event in events:
            if event == Ready():
                return
