"""The service below HTTP in one process: memory stores, a parser that can be held up, reading without processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from factories.storage import NOON
from longscroll.documents.build import build_artifact
from longscroll.documents.ingest import Ingest, IngestOptions
from longscroll.documents.messages import ParseDone, ParseProgress
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
from longscroll.services.models import Model, ModelCatalog
from longscroll.storage.memory import MemoryBlobs, MemoryFiles
from longscroll.tokens import TokenCounter, load_counter
from longscroll.types import ChatEvent, ChatRequest, File, Message

WORKSPACE = "acme"


class HeldParsers:
    """Parses text at once, or when ``gate`` is opened."""

    n_children = 2

    def __init__(self, counter: TokenCounter) -> None:
        """Count with ``counter``; the gate is open."""
        self.gate = asyncio.Event()
        self.gate.set()
        self._counter = counter

    async def parse(
        self, file: Path, artifact: Path, *, filename: str, on_progress: Callable[[ParseProgress], None]
    ) -> ParseDone:
        """Parse one file; a file of the text "broken" is a document error."""
        on_progress(ParseProgress(task=1, n_done=0, n_total=1, unit="pages"))
        await self.gate.wait()
        text = file.read_bytes().decode()
        if text == "broken":
            raise DocumentError(DocumentErrorKind.CORRUPT, "It is broken.")
        with artifact.open("wb") as out:
            meta = build_artifact([Page(number=None, text=text)], out, self._counter)
        return ParseDone(task=1, n_pages=None, n_chars=meta.n_chars, n_tokens=meta.n_tokens)


class LocalReaders:
    """What reader processes do, in this one."""

    def __init__(self, counter: TokenCounter) -> None:
        """Build inline documents with ``counter``."""
        self._desk = Desk(ReadingOptions(), lambda: counter)

    async def read(self, task: ReadTask) -> Read:
        """Find evidence."""
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
    ingest: Ingest
    parsers: HeldParsers
    rows: MemoryFiles
    blobs: MemoryBlobs

    async def upload(self, text: str, *, workspace: str = WORKSPACE, filename: str = "notes.txt") -> File:
        """Upload a text."""
        upload = await self.files.begin(workspace)
        await upload.write(text.encode())
        return await upload.commit(filename=filename, purpose="file-extract")

    async def parsed(self, text: str, *, workspace: str = WORKSPACE) -> File:
        """Upload a text and wait for the end of its parse."""
        file = await self.upload(text, workspace=workspace)
        async for _ in self.ingest.watch(workspace, file.id):
            pass
        return await self.files.get(workspace, file.id)

    async def ask(self, *turns: tuple[str, str], model: str = "qwen-long") -> list[ChatEvent]:
        """Chat, and return every event."""
        messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[arg-type]
        request = ChatRequest(workspace=WORKSPACE, request_id="r", model=model, messages=messages, wants_report=True)
        return [event async for event in self.chat.answer(request)]


@asynccontextmanager
async def local_service(
    *,
    engine: Engine | None = None,
    files: FileOptions | None = None,
    chat: ChatOptions | None = None,
    unavailable: Sequence[str] = (),
) -> AsyncIterator[LocalService]:
    """Start a service; ``engine`` answers to the name ``scripted``, ``qwen-long`` quotes."""
    counter = load_counter()
    readers = LocalReaders(counter)
    parsers = HeldParsers(counter)
    rows = MemoryFiles()
    async with MemoryBlobs() as blobs:
        ingest = Ingest(rows, blobs, parsers, clock=lambda: NOON, options=IngestOptions(poll_s=0.05))
        file_service = FileService(rows, blobs, ingest, files or FileOptions(), now=lambda: NOON)
        engines = {"qwen-long": Extractive(readers.compose, counter), "scripted": engine}
        models = [_model(name, engine) for name, engine in engines.items()]
        models += [_model(name, None) for name in unavailable]
        service = ChatService(
            catalog=ModelCatalog(models, created=0),
            files=rows,
            blobs=blobs,
            ingest=ingest,
            reader=Reader(readers, counter),  # type: ignore[arg-type]
            counter=counter,
            options=chat or ChatOptions(),
        )
        async with ingest:
            yield LocalService(file_service, service, ingest, parsers, rows, blobs)
        file_service.close()


def _model(name: str, engine: Engine | None) -> Model:
    hint = "" if engine else "Install it."
    return Model(name=name, aliases=(), engine=engine, served_name=name, citations="annotations", hint=hint)
