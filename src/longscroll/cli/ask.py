"""``longscroll ask``: read documents and answer, in one process tree, without a server.

Documents are kept in a folder of their own beside the service's, by content: the second question is instant.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import uuid
from collections.abc import AsyncIterator
from io import BufferedReader
from pathlib import Path

import msgspec

from longscroll.app import Core, running_core
from longscroll.cli.bars import parse_bars, show
from longscroll.cli.configured import configured
from longscroll.documents.ingest import Failed, Ready
from longscroll.errors import LongscrollError
from longscroll.storage.base import FileFilter
from longscroll.telemetry import configure_logging
from longscroll.types import Annotation, ChatRequest, Delta, File, Finish, Message, Progress

WORKSPACE = "ask"
MODEL = "qwen-long"
_BLOCK_BYTES = 1 << 20

Configured = tuple[Path | None, Path | None, str | None, str | None]
"""Configuration file, data folder, upstream and upstream model, as the options say them."""


class UnreadableInput(LongscrollError):
    """A document that was named cannot be read."""


def run(question: str, files: list[str], options: Configured, *, go_on: bool, as_json: bool) -> None:
    """Answer one question, or go on asking."""
    configure_logging(level="warning")
    asyncio.run(_run(question, files, options, go_on=go_on, as_json=as_json))


async def _run(question: str, files: list[str], options: Configured, *, go_on: bool, as_json: bool) -> None:
    config_file, data_dir, upstream, upstream_model = options
    config = configured(config_file, data_dir, upstream=upstream, upstream_model=upstream_model)
    server = msgspec.structs.replace(config.server, data_dir=str(config.data_dir / "ask"))
    answered = _print_json if as_json else _print_answer
    async with running_core(msgspec.structs.replace(config, server=server)) as core:
        documents = [await _document(core, name) for name in files]
        references = ",".join(f"fileid://{file.id}" for file in documents)
        messages = [Message(role="system", content=references)]
        while question:
            messages.append(Message(role="user", content=question))
            answer = "".join([piece async for piece in answered(messages, core)])
            messages.append(Message(role="assistant", content=answer))
            question = await _next_question() if go_on else ""


async def _next_question() -> str:
    sys.stderr.write("\n> ")
    sys.stderr.flush()
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


async def _document(core: Core, name: str) -> File:
    """Return the processed file of that content, uploading and parsing it when it is new."""
    with _opened(name) as source:
        known = await _known(core, source, Path(name).name)
        file = known or await _upload(core, source, "stdin.txt" if name == "-" else Path(name).name)
    await _parse(core, file)
    return file


def _opened(name: str) -> BufferedReader:
    if name == "-":
        return Path("/dev/stdin").open("rb")
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise UnreadableInput(f"{name}: {error.strerror}.") from error


async def _known(core: Core, source: BufferedReader, filename: str) -> File | None:
    if not source.seekable():
        return None
    digest = (await asyncio.to_thread(hashlib.file_digest, source, "sha256")).hexdigest()
    source.seek(0)
    page, _ = await core.files.page(WORKSPACE, which=FileFilter(), after=None, limit=2000)
    same = [file for file in page if file.sha256 == digest and file.filename == filename and not file.error_kind]
    return same[0] if same else None


async def _upload(core: Core, source: BufferedReader, filename: str) -> File:
    upload = await core.files.begin(WORKSPACE, purpose="file-extract")
    try:
        while block := await asyncio.to_thread(source.read, _BLOCK_BYTES):
            await upload.write(block)
        return await upload.commit(filename=filename, purpose="file-extract")
    finally:
        await upload.discard()


async def _parse(core: Core, file: File) -> None:
    with parse_bars(transient=True) as bars:
        task = bars.add_task(file.filename, total=None, state="")
        async for event in core.ingest.watch(WORKSPACE, file.id):
            if isinstance(event, Failed):
                raise UnreadableInput(f"{file.filename}: {event.details}")
            if isinstance(event, Ready):
                return
            show(bars, task, event)


async def _events(core: Core, messages: list[Message]) -> AsyncIterator[Progress | Delta | Finish]:
    request = ChatRequest(
        workspace=WORKSPACE,
        request_id=str(uuid.uuid4()),
        is_exempt=True,
        model=MODEL,
        messages=tuple(messages),
        wants_report=True,
    )
    async for event in core.chat.answer(request):
        yield event


async def _print_answer(messages: list[Message], core: Core) -> AsyncIterator[str]:
    """Print the answer as it comes, then what it cites; yields its text."""
    annotations: list[Annotation] = []
    async for event in _events(core, messages):
        if isinstance(event, Delta):
            annotations += event.annotations
            sys.stdout.write(event.text)
            sys.stdout.flush()
            yield event.text
    sys.stdout.write("\n")
    cited = {annotation.citation.number: annotation.citation for annotation in annotations}
    if cited:
        sys.stdout.write("\n")
    for number, citation in sorted(cited.items()):
        place = [citation.filename or "", citation.section or ""]
        if citation.pages:
            place.append("p. " + "–".join(str(page) for page in dict.fromkeys((citation.pages[0], citation.pages[-1]))))
        sys.stdout.write(f"[{number}] {' · '.join(part for part in place if part)}\n")


async def _print_json(messages: list[Message], core: Core) -> AsyncIterator[str]:
    """Print one JSON line: answer, citations, report; yields the text."""
    text, report = "", None
    annotations: list[Annotation] = []
    async for event in _events(core, messages):
        if isinstance(event, Delta):
            text += event.text
            annotations += event.annotations
        elif isinstance(event, Finish):
            report = event.report
    line = {"answer": text, "citations": [annotation.citation for annotation in annotations], "report": report}
    sys.stdout.write(json.dumps(msgspec.to_builtins(line), ensure_ascii=False) + "\n")
    sys.stdout.flush()
    yield text
