"""Each store twice: the memory twin and the real one. What a test of this folder asserts, both must keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from longscroll.storage.base import BlobStore, FileStore, KeyStore, UsageStore
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryKeys, MemoryPresence, MemoryUsage
from longscroll.storage.presence import LocalPresence


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "data" / "longscroll.db") as database:
        yield database


@pytest.fixture(params=["memory", "sqlite"])
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileStore]:
    if request.param == "memory":
        yield MemoryFiles()
        return
    async with Database(tmp_path / "longscroll.db") as database:
        yield database.files


@pytest.fixture(params=["memory", "sqlite"])
async def keys(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyStore]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    async with Database(tmp_path / "longscroll.db") as database:
        yield database.keys


@pytest.fixture(params=["memory", "sqlite"])
async def usage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[UsageStore]:
    if request.param == "memory":
        yield MemoryUsage()
        return
    async with Database(tmp_path / "longscroll.db") as database:
        yield database.usage


@pytest.fixture(params=["memory", "local disk"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    if request.param == "memory":
        async with MemoryBlobs() as memory:
            yield memory
        return
    async with LocalBlobs(tmp_path / "blobs") as local:
        yield local


@pytest.fixture(params=["memory", "local disk"])
def newcomer(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], MemoryPresence | LocalPresence]:
    """Makes presences that see each other; none of them has started."""
    if request.param == "memory":
        living: set[str] = set()
        return lambda: MemoryPresence(living)
    return lambda: LocalPresence(tmp_path / "present")
