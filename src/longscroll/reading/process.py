"""A reader: the spawned process that maps artifacts and does the CPU work of reading.

Owns the process: its open documents, its loop, its death with its parent. Knows no HTTP, no database, no engine but the
pure part of the embedded one. It speaks reading/messages.py as msgpack with a length in front, on standard input and
output; the first frame is empty and says that it is ready. Run by ``documents.spawned``.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from longscroll.documents.artifact import Artifact
from longscroll.documents.inline import InlineDocuments
from longscroll.engines.extractive import compose
from longscroll.errors import FileGone, LongscrollError
from longscroll.reading.evidence import OpenDocument, ReadingOptions, find_evidence, n_tokens_read
from longscroll.reading.messages import Composed, ComposeTask, Failed, Read, ReaderReply, ReaderTask, ReadTask, Source
from longscroll.tokens import EstimatedCounter, TokenCounter, load_counter

LENGTH = struct.Struct("<I")
READY = LENGTH.pack(0)
"""What a reader says before all else, once it has loaded what every question needs."""
MAX_OPEN = 1024
"""Artifacts kept mapped; a mapping costs address space, not memory."""
MAX_INLINE_BYTES = 128 << 20
WARM_UP = "Warm up. 预热。"


class _Opened(NamedTuple):
    """An artifact that is mapped, and which of the files that its path has named."""

    artifact: Artifact
    identity: tuple[int, ...]


class Desk:
    """The documents a reader has open, and what it does with them."""

    def __init__(self, options: ReadingOptions, load: Callable[[], TokenCounter]) -> None:
        self._options = options
        self._load = load
        self._open: OrderedDict[tuple[str, Path], _Opened] = OrderedDict()
        self._inline: InlineDocuments | None = None

    def do(self, task: ReaderTask) -> ReaderReply:
        """Do one task.

        Raises:
            LongscrollError: a document cannot be read.
        """
        if isinstance(task, ComposeTask):
            composition = compose(task.prompt)
            return Composed(task=task.task, parts=composition.parts, abstained=composition.abstained)
        return self._read(task)

    def warm_up(self) -> None:
        """Make the tables that the first question would wait for: characters and stems."""
        source = Source(document=0, workspace="", inline=WARM_UP)
        document = OpenDocument(source, InlineDocuments(len(WARM_UP), EstimatedCounter()).get("", WARM_UP))
        for question in ("What is this about?", "Who warms up?"):
            task = ReadTask(task=0, question=question, sources=(source,), context_window=None)
            find_evidence(task, [document], self._options)

    def inline_documents(self) -> InlineDocuments:
        """Return the texts inside messages; the first call loads what counts their tokens, in a quarter of a second."""
        if self._inline is None:
            self._inline = InlineDocuments(MAX_INLINE_BYTES, self._load())
        return self._inline

    def _read(self, task: ReadTask) -> Read:
        documents = [OpenDocument(source, self._artifact(source)) for source in task.sources]
        evidence = find_evidence(task, documents, self._options)
        artifacts = [document.artifact for document in documents]
        return Read(
            task=task.task,
            evidence=evidence,
            n_tokens=tuple(artifact.meta.n_tokens for artifact in artifacts),
            n_tokens_read=tuple(n_tokens_read(evidence, documents)),
            n_pages=tuple(artifact.meta.n_pages for artifact in artifacts),
            unreadable_pages=tuple(artifact.unreadable_pages for artifact in artifacts),
        )

    def _artifact(self, source: Source) -> Artifact:
        if source.artifact is None:
            return self.inline_documents().get(source.workspace, source.inline or "")
        return self._mapped(source.workspace, Path(source.artifact), source.file_id or "")

    def _mapped(self, workspace: str, path: Path, file_id: str) -> Artifact:
        """Map an artifact once, and again when another has taken its place.

        One whose file is gone is forgotten, so that deleting it frees its space.
        """
        key = (workspace, path)
        try:
            found = path.stat()
            identity = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
            if key not in self._open or self._open[key].identity != identity:
                self._open.pop(key, None)
                self._open[key] = _Opened(Artifact.open(path), identity)
        except FileNotFoundError:
            self._open.pop(key, None)
            raise FileGone(file_id) from None
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key].artifact


def main(arguments: list[str]) -> None:
    """Serve tasks from standard input until it ends; the one argument is the options as JSON."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a group is told to end as one; the service ends us when it has drained
        signal.signal(number, signal.SIG_IGN)
    options = msgspec.json.decode(arguments[0], type=ReadingOptions)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints goes to the log, never between two replies
    desk = Desk(options, load_counter)
    desk.warm_up()
    replies.write(READY)
    replies.flush()
    desk.inline_documents()
    serve(desk, sys.stdin.buffer, replies)


def serve(desk: Desk, tasks: BinaryIO, replies: BinaryIO) -> None:
    """Answer one task after the other until the input ends."""
    decoder, encoder = msgspec.msgpack.Decoder(ReaderTask), msgspec.msgpack.Encoder()
    while (frame := _read_frame(tasks)) is not None:
        data = encoder.encode(_answer(desk, decoder.decode(frame)))
        replies.write(LENGTH.pack(len(data)) + data)
        replies.flush()


def _answer(desk: Desk, task: ReaderTask) -> ReaderReply:
    try:
        return desk.do(task)
    except FileGone as error:
        return Failed(task=task.task, error="FileGone", message=error.file_id)
    except LongscrollError as error:
        return Failed(task=task.task, error=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 (the process loop: the service logs it with the request id and goes on)
        traceback.print_exc()
        return Failed(task=task.task, error="EngineFailed", message=f"Reading failed: {type(error).__name__}.")


def _read_frame(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    data = stream.read(size)
    return data if len(data) == size else None
