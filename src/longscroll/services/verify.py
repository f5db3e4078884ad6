"""Check that every stored file is what its row says, beside a running service or without one.

Owns what can be wrong with a file, how it is found and what mends it. Changes nothing but by ``parse_again``. Files
come and go meanwhile, so only what looks wrong again and again is reported. Knows no printing and no parser.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from longscroll.documents.artifact import Artifact
from longscroll.documents.segment import TERMS_VERSION
from longscroll.errors import ArtifactError
from longscroll.storage.base import ARTIFACT, BYTES, BlobStore, FileFilter, FileStore, blob_prefix, is_preview
from longscroll.types import File, FileStatus

_PARSE_AGAIN = "Let it be parsed again: `longscroll doctor --verify --repair`."
_UPLOAD_AGAIN = "Delete it and upload it again."
_RESTART = "Restart the service: it removes what a crash left."
_ROWS_AT_ONCE = 500

Key = tuple[str, str]  # workspace, file id


class VerifyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much at once, and how patient."""

    n_threads: int = min(4, os.cpu_count() or 1)
    n_more_looks: int = 3  # at what looked wrong
    look_again_s: float = 2.0  # before each of them; after all the longest deletion is over


class Problem(Struct, frozen=True, kw_only=True):
    """Something of a file that must be mended, and how."""

    workspace: str
    file_id: str
    filename: str | None  # None: it has no row
    what: str
    advice: str
    can_be_parsed_again: bool = False  # its bytes are sound: ``parse_again`` mends it


class Checked(Struct, frozen=True):
    """A file has been looked at, and so many bytes of it read; whether all is well with it is said later."""

    n_bytes: int


class _Look(Struct, frozen=True):
    """What one look at a file found."""

    key: Key
    n_bytes: int = 0
    problems: tuple[Problem, ...] = ()


class Verification:
    """The check of one data folder; ``run`` it once."""

    def __init__(self, files: FileStore, blobs: BlobStore, options: VerifyOptions | None = None) -> None:
        self._files = files
        self._blobs = blobs
        self._options = options or VerifyOptions()
        self._threads = ThreadPoolExecutor(self._options.n_threads, thread_name_prefix="verify")

    async def n_files(self) -> int:
        """Count the files of all workspaces."""
        return sum([(await self._files.totals(workspace))[0] for workspace in await self._files.workspaces()])

    async def run(self) -> AsyncGenerator[Checked | Problem, None]:
        """Look at every file, ``Checked`` for each; at the end yield every Problem, those without a row last.

        Reads every byte; memory is bounded by the number of files, not by their size.
        """
        suspects: list[Key] = []
        known: set[Key] = set()
        try:
            async for look in self._first_looks():
                known.add(look.key)
                if look.problems:
                    suspects.append(look.key)
                yield Checked(look.n_bytes)
            suspects += await self._without_row(known)
            for problem in await self._persistent(suspects):
                yield problem
        finally:
            self._threads.shutdown(cancel_futures=True)

    async def parse_again(self, problem: Problem) -> bool:
        """Queue the file for the next parser there is; False when it is gone."""
        return await self._files.requeue(problem.workspace, problem.file_id)

    async def _first_looks(self) -> AsyncIterator[_Look]:
        """Look at the files that have a row, so many at a time as there are threads."""
        under_way: set[asyncio.Task[_Look]] = set()
        try:
            async for file in self._rows():
                under_way.add(asyncio.create_task(self._look(file)))
                if len(under_way) >= self._options.n_threads:
                    done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            while under_way:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in under_way:
                task.cancel()

    async def _rows(self) -> AsyncIterator[File]:
        for workspace in await self._files.workspaces():
            after, has_more = None, True
            while has_more:
                page, has_more = await self._files.page(
                    workspace, which=FileFilter(), after=after, limit=_ROWS_AT_ONCE, ascending=True
                )
                for file in page:
                    yield file
                after = page[-1].id if page else None

    async def _without_row(self, known: set[Key]) -> list[Key]:
        """Return files that have blobs and no row, and those whose deletion is not finished."""
        stored = {_key_of(name) for name in await self._blobs.list_names("w/")}
        deleting = {(file.workspace, file.id) for file in await self._files.being_deleted()}
        return sorted((stored | deleting) - known)

    async def _persistent(self, suspects: list[Key]) -> list[Problem]:
        """Look again at what looked wrong; return what does so every time."""
        problems: dict[Key, tuple[Problem, ...]] = dict.fromkeys(suspects, ())
        for _ in range(self._options.n_more_looks):
            if problems:
                await asyncio.sleep(self._options.look_again_s)
                looks = [(key, await self._look_again(key)) for key in problems]
                problems = {key: found for key, found in looks if found}
        return [problem for found in problems.values() for problem in found]

    async def _look_again(self, key: Key) -> tuple[Problem, ...]:
        file = await self._files.get(*key)
        if file is not None:
            found = (await self._look(file)).problems
            return found if await self._files.get(*key) == file else ()
        if any((file.workspace, file.id) == key for file in await self._files.being_deleted()):
            return (_rowless(key, "its deletion was begun and not finished"),)
        if await self._blobs.list_names(blob_prefix(*key)):
            return (_rowless(key, "it has bytes and no row: an upload or a deletion that a crash cut off"),)
        return ()

    async def _look(self, file: File) -> _Look:
        """Read everything that is stored of a file and hold it against its row."""
        prefix = blob_prefix(file.workspace, file.id)
        names = {name.removeprefix(prefix) for name in await self._blobs.list_names(prefix)}
        n_bytes, wrong_bytes = await self._read(file, BYTES, _wrong_bytes)
        problems = [_problem(file, wrong_bytes, _UPLOAD_AGAIN)] if wrong_bytes else []
        wrong = []
        has_artifact = file.status == FileStatus.PROCESSED and file.is_document
        if has_artifact:
            n_more, wrong_artifact = await self._read(file, ARTIFACT, _wrong_artifact)
            n_bytes += n_more
            wrong += [wrong_artifact] if wrong_artifact else []
        if file.status != FileStatus.UPLOADED:
            previews = set(filter(is_preview, names))
            problems += [_problem(file, f"{name} is left over", _RESTART) for name in sorted(previews)]
            expected = {BYTES, ARTIFACT} if has_artifact else {BYTES}
            wrong += [f"{name} is left over" for name in sorted(names - expected - previews)]
        advice = _UPLOAD_AGAIN if wrong_bytes else _PARSE_AGAIN
        problems += [_problem(file, what, advice, can_be_parsed_again=not wrong_bytes) for what in wrong]
        return _Look((file.workspace, file.id), n_bytes, tuple(problems))

    async def _read(self, file: File, name: str, find: Callable[[Path, File], str | None]) -> tuple[int, str | None]:
        """Read one blob in a thread; return its size and what is wrong with it."""
        path = await self._blobs.local_path(blob_prefix(file.workspace, file.id) + name)
        if path is None:
            return 0, f"its {name} is missing" if name == ARTIFACT else "its bytes are missing"
        return await asyncio.get_running_loop().run_in_executor(self._threads, _sized, path, lambda: find(path, file))


def _key_of(name: str) -> Key:
    _, workspace, _, file_id, *_ = name.split("/")
    return workspace, file_id


def _problem(file: File, what: str, advice: str, *, can_be_parsed_again: bool = False) -> Problem:
    return Problem(
        workspace=file.workspace,
        file_id=file.id,
        filename=file.filename,
        what=what,
        advice=advice,
        can_be_parsed_again=can_be_parsed_again,
    )


def _rowless(key: Key, what: str) -> Problem:
    return Problem(workspace=key[0], file_id=key[1], filename=None, what=what, advice=_RESTART)


def _sized(path: Path, find: Callable[[], str | None]) -> tuple[int, str | None]:
    n_bytes = 0
    try:
        n_bytes = path.stat().st_size
        return n_bytes, find()
    except OSError as error:
        return n_bytes, f"what is stored of it cannot be read: {error.strerror}"


def _wrong_bytes(path: Path, file: File) -> str | None:
    with path.open("rb") as stored:
        size = os.fstat(stored.fileno()).st_size
        if size != file.size_bytes:
            return f"{size} bytes are stored of {file.size_bytes}"
        is_same = hashlib.file_digest(stored, "sha256").hexdigest() == file.sha256
    return None if is_same else "its bytes are not those that were uploaded"


def _wrong_artifact(path: Path, file: File) -> str | None:
    try:
        artifact = Artifact.open(path)
    except ArtifactError as error:
        return f"its artifact cannot be opened. {error}"
    try:
        if artifact.meta.terms != TERMS_VERSION:
            return f"its artifact was indexed by term rules {artifact.meta.terms}; this version has {TERMS_VERSION}"
        artifact.verify()
        meta = artifact.meta
        if (meta.n_pages, meta.n_chars, meta.n_tokens) != (file.n_pages, file.n_chars, file.n_tokens):
            return "its artifact is not the one that its row speaks of"
    except ArtifactError as error:
        return str(error).rstrip(".")
    finally:
        artifact.close()
    return None
