"""Batches over memory stores, lines that a script answers, and what a batch came to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any, cast

from msgspec import Struct

from factories.storage import NOON, WORKSPACE
from longscroll.access.base import SCOPES, Principal
from longscroll.documents.ingest import Ingest
from longscroll.errors import InvalidBody, ModelNotFound, StorageFull
from longscroll.services.batches.base import BatchOptions, Line, LineReply, Rooms, RunOptions, SkipReason
from longscroll.services.batches.runner import BatchRunner
from longscroll.services.batches.service import BatchRequest, BatchService
from longscroll.services.files import FileOptions, FileService
from longscroll.services.in_use import FilesInUse
from longscroll.storage.batches import UNFINISHED, Batch, BatchStore
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryPresence
from longscroll.storage.memory_batches import MemoryBatches

CALLER = Principal(workspace=WORKSPACE, key_id="key-1", scopes=frozenset(SCOPES))
ENDPOINT = "/v1/chat/completions"
_numbers = count(1)


def make_batch(**fields: Any) -> Batch:
    """Return a batch with an id that no other call returns."""
    standard: dict[str, Any] = {
        "workspace": WORKSPACE,
        "id": f"batch_00000000-0000-4000-8000-{next(_numbers):012x}",
        "key_id": "key-1",
        "endpoint": ENDPOINT,
        "input_file_id": "file-batch-1",
        "completion_window": "24h",
        "created_at": NOON,
        "expires_at": NOON + timedelta(hours=24),
    }
    return Batch(**(standard | fields))


def make_line(custom_id: str = "a", *, question: str = "你好", **fields: Any) -> dict[str, Any]:
    """Return a line of an input, before it is JSON."""
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": question}]}
    return {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body} | fields


def to_jsonl(*lines: object) -> bytes:
    """Return lines as an input file has them."""
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def make_batch_service(files: FileService) -> BatchService:
    """Return batches that nobody runs, by the clock of the files."""
    return BatchService(MemoryBatches(), files, clock=lambda: files.now())  # noqa: PLW0108 - files that are no service have no clock


class NoIngest:
    """An ingestion that has nothing to do."""

    def notify(self) -> None:
        """Take notice of an upload."""

    async def cancel(self, workspace: str, file_id: str) -> None:
        """Take notice of a deletion."""


class ScriptedLines:
    """Reads lines that are JSON objects, and answers each with its custom id, or as its ``status`` says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.request_ids: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.held: set[str] | None = None  # which lines wait at the gate; None: all
        self.n_running = self.most_running = 0
        self.refused: set[str] = set()  # custom ids that are no longer read
        self.statuses: dict[str, list[int]] = {}  # by custom id; the last one stays
        self.n_full = 0  # answers that find the disk full before one that does not

    def read(self, text: bytes) -> Line:
        """Return what a line asks."""
        try:
            line = json.loads(text)
        except ValueError as error:
            raise InvalidBody("It is not JSON.") from error
        if line["custom_id"] in self.refused:
            raise InvalidBody("It is refused.")
        return Line(
            custom_id=line["custom_id"],
            endpoint=line.get("url", ENDPOINT),
            model=line.get("model", "qwen-long"),
            body=b"{}",
        )

    def check_model(self, line: Line) -> None:
        """Know every model but one."""
        if line.model == "unknown":
            raise ModelNotFound(line.model)

    async def answer(self, _batch: Batch, line: Line, request_id: str) -> LineReply:
        """Answer when the gate is open."""
        self.asked.append(line.custom_id)
        self.request_ids.append(request_id)
        self.n_running += 1
        self.most_running = max(self.most_running, self.n_running)
        try:
            if self.held is None or line.custom_id in self.held:
                await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.n_running -= 1
        if self.n_full:
            self.n_full -= 1
            raise StorageFull("No space is left.")
        statuses = self.statuses.get(line.custom_id, [200])
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return LineReply(status=status, record=json.dumps({"custom_id": line.custom_id, "status": status}).encode())

    def skip(self, line: Line, _record_id: str, reason: SkipReason) -> bytes:
        """Say why a line was not asked."""
        return json.dumps({"custom_id": line.custom_id, "error": reason}).encode()


class Ended(Struct, frozen=True, kw_only=True):
    """A batch at its end, with the records of its files by custom id in the order of the files."""

    batch: Batch
    output: list[dict[str, Any]]
    errors: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        """The custom ids of both files."""
        return [record["custom_id"] for record in (*self.output, *self.errors)]


class BatchWorld(Struct, kw_only=True):
    """A runner over memory stores and scripted lines; ``now`` is its clock."""

    store: BatchStore
    files: FileService
    blobs: MemoryBlobs
    lines: ScriptedLines
    service: BatchService
    limits: BatchOptions
    options: RunOptions
    presence: MemoryPresence
    wake: asyncio.Event
    now: Any = NOON

    def clock(self) -> Any:
        """Return the time of this world."""
        return self.now

    def runner(self, *, presence: MemoryPresence | None = None) -> BatchRunner:
        """Return a runner; another ``presence`` is another process."""
        rooms = Rooms(batches=self.store, files=self.files, blobs=self.blobs, lines=self.lines, clock=self.clock)
        return BatchRunner(rooms, presence or self.presence, limits=self.limits, options=self.options, wake=self.wake)

    async def submit(self, *lines: object, content: bytes | None = None, **fields: Any) -> Batch:
        """Upload an input and create a batch of it."""
        upload = await self.files.begin(WORKSPACE, purpose="batch")
        await upload.write(to_jsonl(*lines) if content is None else content)
        file = await upload.commit(filename="questions.jsonl", purpose="batch")
        standard: dict[str, Any] = {"endpoint": ENDPOINT, "completion_window": "24h", "window": timedelta(hours=24)}
        request = BatchRequest(input_file_id=file.id, **(standard | fields))
        return await self.service.create(CALLER, request)

    async def ended(self, batch: Batch) -> Ended:
        """Wait for the end of a batch and read its files."""
        await self.until(batch, lambda found: found.status not in UNFINISHED)
        found = await self.service.get(batch.workspace, batch.id)
        return Ended(
            batch=found,
            output=await self._records(found.output_file_id),
            errors=await self._records(found.error_file_id),
        )

    async def until(self, batch: Batch, holds: Callable[[Batch], bool]) -> None:
        """Wait until something is true of a batch."""
        async with asyncio.timeout(5):
            while not holds(await self.service.get(batch.workspace, batch.id)):
                await asyncio.sleep(0.005)

    async def _records(self, file_id: str | None) -> list[dict[str, Any]]:
        if file_id is None:
            return []
        content = b"".join([piece async for piece in await self.files.lines(WORKSPACE, file_id)])
        return [json.loads(line) for line in content.splitlines()]


@asynccontextmanager
async def batch_world(
    *, limits: BatchOptions | None = None, store: BatchStore | None = None, **options: Any
) -> AsyncIterator[BatchWorld]:
    """Make a world whose runner is not started; ``options`` are those of its runs."""
    async with MemoryBlobs() as blobs:
        files = FileService(
            MemoryFiles(), blobs, cast("Ingest", NoIngest()), FileOptions(), now=lambda: NOON, in_use=FilesInUse()
        )
        wake, batches = asyncio.Event(), store or MemoryBatches()
        quick: dict[str, Any] = {"renew_s": 0.02, "poll_s": 0.05, "backoff_s": 0.05, "last_words_s": 0.2}
        yield BatchWorld(
            store=batches,
            files=files,
            blobs=blobs,
            lines=ScriptedLines(),
            service=BatchService(batches, files, clock=lambda: NOON, wake=wake.set),
            limits=limits or BatchOptions(),
            options=RunOptions(**(quick | options)),
            presence=MemoryPresence(),
            wake=wake,
        )
        files.close()


def custom_ids(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return whose records they are."""
    return [record["custom_id"] for record in records]
