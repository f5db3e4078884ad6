"""What a contained child does with its descriptors: parse a file, or ranges of it, into parts; or merge parts.

Owns what is said meanwhile. Knows nothing of how the child is contained, nor of who forked it; the service is the other
end of its stream.
"""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from io import BufferedWriter, FileIO
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec
from msgspec import Struct

from longscroll.documents.artifact import Artifact, ArtifactMeta
from longscroll.documents.build import build_artifact, parts_of
from longscroll.documents.contain import limit_cpu
from longscroll.documents.merge import merge_artifacts
from longscroll.documents.messages import (
    LENGTH_BYTES,
    MergeTask,
    ParseDone,
    ParseOpened,
    ParsePart,
    ParseProgress,
    ParseRange,
    ParseTask,
    frame,
)
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import NO_TEXT, Page
from longscroll.parsing.formats import open_document
from longscroll.parsing.pdf import PdfDocument
from longscroll.tokens import TokenCounter

PROGRESS_EVERY_S = 0.1
_WRITE_BYTES = 1 << 20
_FORGET_EVERY_BYTES = 1 << 24


class Descriptors(NamedTuple):
    """What a child owns, and nothing else."""

    files: tuple[int, ...]  # to read
    artifact: int  # to write
    stream: int


class Speaker:
    """The child's end of its stream."""

    def __init__(self, task: int, stream: socket.socket) -> None:
        self.task = task
        self._stream = stream
        self._last_said_s = 0.0
        self._decoder = msgspec.msgpack.Decoder(ParseRange)

    def say(self, message: Struct) -> None:
        """Send a message; waits while the service does not read."""
        self._stream.sendall(frame(message))

    def progress(self, n_done: int, n_total: int, unit: str) -> None:
        """Say how far it is, not too often."""
        now = time.monotonic()
        if now - self._last_said_s >= PROGRESS_EVERY_S or n_done == n_total:
            self._last_said_s = now
            known: Literal["pages", "bytes"] = "bytes" if unit == "bytes" else "pages"
            self.say(ParseProgress(task=self.task, n_done=n_done, n_total=n_total, unit=known))

    def ranges(self) -> Iterator[ParseRange]:
        """Yield the ranges that the service wants, until it is gone."""
        while head := self._stream.recv(LENGTH_BYTES, socket.MSG_WAITALL):
            yield self._decoder.decode(self._stream.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))


def parse_file(task: ParseTask, own: Descriptors, speaker: Speaker, counter: TokenCounter) -> ParseDone | None:
    """Parse a file into its artifact; None when it was done in parts, all of which were said.

    Raises:
        DocumentError: there is no document in it. OSError: the artifact cannot be written.
    """
    with os.fdopen(own.files[0], "rb") as file, os.fdopen(own.artifact, "wb", _WRITE_BYTES) as artifact:
        parser = _Parser(artifact, speaker, counter)
        document = open_document(file, task.filename, max_pages=task.max_pages)
        if not isinstance(document, PdfDocument):
            return parser.parse_whole(document)
        document.read_ahead(0)
        if document.n_pages <= task.part_pages:
            speaker.progress(1, document.n_pages, "pages")
            return parser.parse_whole(document.pages(range(document.n_pages)))
        speaker.say(ParseOpened(task=task.task, n_pages=document.n_pages))
        for wanted in speaker.ranges():
            limit_cpu(wanted.cpu_s)
            parser.parse_range(document.pages(range(wanted.start, wanted.stop)))
        return None


class _Parser:
    """Makes parts of pages, one behind the other in the artifact's file."""

    def __init__(self, artifact: BinaryIO, speaker: Speaker, counter: TokenCounter) -> None:
        self._artifact = artifact
        self._speaker = speaker
        self._counter = counter
        self._n_done = 0
        self._part: ParsePart  # the last one

    def parse_whole(self, pages: Iterator[Page]) -> ParseDone | None:
        """Make the artifact, where one part is enough for the document; else parts of it, and return None."""
        metas = self._build_parts(pages)
        if not metas or (len(metas) == 1 and metas[0].is_blank):
            raise DocumentError(DocumentErrorKind.BLANK, NO_TEXT)
        if len(metas) == 1:
            return _done(self._speaker.task, metas[0])
        self._say_last()
        return None

    def parse_range(self, pages: Iterator[Page]) -> None:
        """Make parts of a range of pages, mostly one."""
        self._build_parts(pages)
        self._say_last()

    def _build_parts(self, pages: Iterator[Page]) -> list[ArtifactMeta]:
        """Make parts, and say each as soon as it is known not to be the last."""
        metas: list[ArtifactMeta] = []
        for pages_of_part in parts_of(pages):
            if metas:
                self._speaker.say(self._part)
            metas.append(self._build(pages_of_part))
        return metas

    def _say_last(self) -> None:
        self._speaker.say(msgspec.structs.replace(self._part, is_last=True))

    def _build(self, pages: Iterator[Page]) -> ArtifactMeta:
        offset = self._artifact.tell()
        meta = build_artifact(pages, self._artifact, self._counter, on_progress=self._report, may_be_blank=True)
        self._artifact.flush()
        size = self._artifact.tell() - offset
        self._part = ParsePart(task=self._speaker.task, offset=offset, size=size, n_done=self._n_done)
        return meta

    def _report(self, n_done: int, n_total: int, unit: str) -> None:
        self._n_done = n_done
        self._speaker.progress(n_done, n_total, unit)


def merge_parts(task: MergeTask, own: Descriptors, speaker: Speaker) -> ParseDone:
    """Make one artifact of parts.

    Raises:
        ArtifactError: a part is not what its maker was to make. DocumentError: all are blank, or too large together.
        OSError: the artifact cannot be written.
    """
    n_total = sum(part.size for part in task.parts)
    files = [mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) for descriptor in own.files]
    views = [memoryview(file) for file in files]
    parts = [Artifact.from_buffer(views[part.file][part.offset : part.offset + part.size]) for part in task.parts]
    n_forgotten = 0

    def report(n_done: int) -> None:
        nonlocal n_forgotten
        speaker.progress(n_done, n_total, "bytes")
        if n_done - n_forgotten >= _FORGET_EVERY_BYTES:  # what was read is read once; it need not stay resident
            n_forgotten = n_done
            for file in files:
                file.madvise(mmap.MADV_DONTNEED)

    with BufferedWriter(_Watched(own.artifact, report), _WRITE_BYTES) as out:
        meta = merge_artifacts(parts, out)
    return _done(task.task, meta)


class _Watched(FileIO):
    """A file that says how much has been written to it."""

    def __init__(self, descriptor: int, on_written: Callable[[int], None]) -> None:
        super().__init__(descriptor, "wb")
        self._on_written = on_written

    def write(self, data: Any, /) -> int:
        """Write, and say so."""
        n_bytes = super().write(data)
        self._on_written(self.tell())
        return n_bytes


def _done(task: int, meta: ArtifactMeta) -> ParseDone:
    return ParseDone(
        task=task, n_pages=meta.n_pages, n_chars=meta.n_chars, n_tokens=meta.n_tokens, details=meta.details
    )
