"""The service below HTTP in one process: memory stores, parsers and readers that can be held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from factories.storage import NOON
from longscroll.access.limits import LimitOptions, Limits
from longscroll.access.metering import Metering
from longscroll.documents.artifact import ArtifactMeta
from longscroll.documents.build import build_artifact
from longscroll.documents.ingest import Ingest, IngestOptions
from longscroll.documents.messages import ParseDone, ParseProgress
from longscroll.documents.parsers import ParseListener
from longscroll.engines.base import Engine, Prompt
from longscroll.engines.extractive import Composition, Extractive, compose
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Page
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import Read, ReadTask
from longscroll.reading.process import Desk
from longscroll.reading.reader import Reader
from longscroll.services.chat import ChatOptions, ChatService
from longscroll.services.files import FileOptions, FileService
from longscroll.services.in_use import FilesInUse
from longscroll.services.models import Model, ModelCatalog
from longscroll.storage.memory import MemoryBlobs, MemoryFiles, MemoryPresence, MemoryUsage
from longscroll.tokens import TokenCounter, load_counter
from longscroll.types import ChatEvent, ChatRequest, File, Message, Progress, Readable

WORKSPACE = "acme"


class HeldParsers:
    """Parses text at once, or when ``gate`` is opened; meanwhile its beginning may be given."""

    n_children = 2

    def __init__(self, counter: TokenCounter) -> None:
        """Count with ``counter``; the gate is open."""
        self.gate = asyncio.Event()
        self.gate.set()
        self._counter = counter
        self._held: tuple[Path, ParseListener] | None = None  # the parse that began last

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Parse one file; a file of the text "broken" is a document error."""
        listener.progressed(ParseProgress(task=1, n_done=0, n_total=4, unit="pages"))
        self._held = artifact, listener
        await self.gate.wait()
        text = file.read_bytes().decode()
        if text == "broken":
            raise DocumentError(DocumentErrorKind.CORRUPT, "It is broken.")
        meta = self._build(text, artifact)
        return ParseDone(task=1, n_pages=None, n_chars=meta.n_chars, n_tokens=meta.n_tokens)

    async def give_beginning(self, text: str, *, n_done: int) -> Readable:
        """Have the parse that began last give ``text`` as the document's beginning."""
        assert self._held is not None, "a parse has begun"
        artifact, listener = self._held
        preview = artifact.with_suffix(".preview")
        readable = Readable(n_done=n_done, n_tokens=self._build(text, preview).n_tokens)
        listener.progressed(ParseProgress(task=1, n_done=n_done + 1, n_total=4, unit="pages"))
        await listener.readable(preview, readable)
        return readable

    def _build(self, text: str, path: Path) -> ArtifactMeta:
        with path.open("wb") as out:
            return build_artifact([Page(number=None, text=text)], out, self._counter)


class LocalReaders:
    """What reader processes do, in this one, at once or when ``gate`` is opened."""

    def __init__(self, counter: TokenCounter) -> None:
        """Build inline documents with ``counter``; the gate is open."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.n_waiting = 0
        self._desk = Desk(ReadingOptions(), lambda: counter)

    async def read(self, task: ReadTask) -> Read:
        """Find evidence."""
        self.n_waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.n_waiting -= 1
        reply = self._desk.do(task)
        assert isinstance(reply, Read)
        return reply

    async def compose(self, prompt: Prompt) -> Composition:
        """Write an answer."""
        return compose(prompt)


class LocalService(Struct, frozen=True):
    """The parts that a test speaks to."""

    files: FileService
    chat: ChatService
    catalog: ModelCatalog
    ingest: Ingest
    parsers: HeldParsers
    readers: LocalReaders
    rows: MemoryFiles
    blobs: MemoryBlobs
    usage: MemoryUsage

    async def upload(self, text: str, *, workspace: str = WORKSPACE, filename: str = "notes.txt") -> File:
        """Upload a text."""
        upload = await self.files.begin(workspace)
        await upload.write(text.encode())
        return await upload.commit(filename=filename, purpose="file-extract")

    async def parsed(self, text: str, *, workspace: str = WORKSPACE) -> File:
        """Upload a text and wait for the end of its parse."""
        return await self.settled(await self.upload(text, workspace=workspace))

    async def settled(self, file: File) -> File:
        """Wait for the end of a parse."""
        async for _ in self.ingest.watch(file.workspace, file.id):
            pass
        return await self.files.get(file.workspace, file.id)

    async def ask(self, *turns: tuple[str, str], model: str = "qwen-long", **fields: Any) -> list[ChatEvent]:
        """Chat, and return every event; ``fields`` are further ones of the request."""
        messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[arg-type]
        standard: dict[str, Any] = {"workspace": WORKSPACE, "request_id": "r", "wants_report": True}
        request = ChatRequest(model=model, messages=messages, **(standard | fields))
        return [event async for event in self.chat.answer(request)]

    async def being_parsed(self, text: str, *, beginning: str | None = None) -> File:
        """Upload a text whose parse is held up; its ``beginning``, half of its pages, can be read."""
        self.parsers.gate.clear()
        file = await self.upload(text)
        async for event in self.ingest.watch(WORKSPACE, file.id):
            if isinstance(event, Progress) and event.n_total is not None:
                break
        if beginning is not None:
            await self.parsers.give_beginning(beginning, n_done=2)
        return file


@asynccontextmanager
async def local_service(
    *,
    engine: Engine | None = None,
    files: FileOptions | None = None,
    rows: MemoryFiles | None = None,
    chat: ChatOptions | None = None,
    unavailable: Sequence[str] = (),
    limits: Sequence[LimitOptions] = (),
) -> AsyncIterator[LocalService]:
    """Start a service; ``engine`` answers to the name ``scripted``, ``qwen-long`` quotes."""
    counter = load_counter()
    readers = LocalReaders(counter)
    parsers = HeldParsers(counter)
    rows = rows or MemoryFiles()
    async with MemoryBlobs() as blobs:
        presence = MemoryPresence()
        ingest_options = IngestOptions(poll_s=0.05)
        ingest = Ingest(rows, blobs, parsers, presence=presence, clock=lambda: NOON, options=ingest_options)
        in_use = FilesInUse()
        file_service = FileService(rows, blobs, ingest, files or FileOptions(), now=lambda: NOON, in_use=in_use)
        engines = {"qwen-long": Extractive(readers.compose, counter), "scripted": engine}
        models = [_model(name, engine) for name, engine in engines.items()]
        models += [_model(name, None) for name in unavailable]
        catalog = ModelCatalog(models, created=0)
        usage = MemoryUsage()
        metering = Metering(usage, Limits(limits, clock=lambda: 0.0), clock=lambda: NOON)
        service = ChatService(
            catalog=catalog,
            files=rows,
            blobs=blobs,
            ingest=ingest,
            reader=Reader(readers, counter),  # type: ignore[arg-type]
            counter=counter,
            options=chat or ChatOptions(),
            in_use=in_use,
            metering=metering,
        )
        async with ingest:
            yield LocalService(file_service, service, catalog, ingest, parsers, readers, rows, blobs, usage)
        file_service.close()
        await metering.close()


def _model(name: str, engine: Engine | None) -> Model:
    hint = "" if engine else "Install it."
    return Model(name=name, aliases=(), engine=engine, served_name=name, citations="annotations", hint=hint)
