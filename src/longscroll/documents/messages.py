"""The messages between the service and its parser processes: one struct each, msgpack with a length in front.

The zygote has one stream pair with the service; each child has one of its own, whose end is the child's end. It carries
what the child says and, for a child that parses ranges, which comes next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from longscroll.errors import DocumentErrorKind

LENGTH_BYTES = 4
_MAX_FRAME_BYTES = 1 << 20
_encode = msgspec.msgpack.Encoder().encode


class ParseTask(Struct, frozen=True, kw_only=True, tag="parse"):
    """Parse a file. Three descriptors travel with this message: the file, the artifact to write, the child's stream.

    A document with more pages than ``part_pages`` is not parsed at once: the child says ParseOpened and then parses one
    ParseRange after another as they come over its stream, until it is ended.
    """

    task: int = 0
    filename: str
    max_pages: int
    part_pages: int
    memory_bytes: int  # private memory beyond what a child begins with
    artifact_bytes: int
    cpu_s: int


class PartPlace(Struct, frozen=True, array_like=True):
    """Where a part lies: in which of the files that travel with the message, from where, how many bytes."""

    file: int
    offset: int
    size: int


class MergeTask(Struct, frozen=True, kw_only=True, tag="merge"):
    """Make one artifact of parts. The files that hold them travel with this message, then the artifact, the stream."""

    task: int = 0
    parts: tuple[PartPlace, ...]
    memory_bytes: int
    artifact_bytes: int
    cpu_s: int


class ParseRange(Struct, frozen=True, kw_only=True, tag="range"):
    """Parse the pages from ``start`` up to ``stop``, counted from 0, as a part."""

    start: int
    stop: int
    cpu_s: int  # that this may take, of what the child may take in all


class KillTask(Struct, frozen=True, kw_only=True, tag="kill"):
    """End the child of a task; nothing happens when it has ended already."""

    task: int


class ZygoteReady(Struct, frozen=True, kw_only=True, tag="ready"):
    """Everything is loaded; ``is_landlocked`` says whether children are kept from all files."""

    is_landlocked: bool


class ChildBegun(Struct, frozen=True, kw_only=True, tag="begun"):
    """A child is at work on a task."""

    task: int


class ChildEnded(Struct, frozen=True, kw_only=True, tag="ended"):
    """A child is gone; ``signal`` is what ended it, None when it left by itself."""

    task: int
    signal: int | None
    peak_bytes: int  # the most memory it was resident in, what it shared with the zygote included
    cpu_s: float


class ParseProgress(Struct, frozen=True, kw_only=True, tag="progress"):
    """So much is done, of the file or of the range that was asked for."""

    task: int
    n_done: int
    n_total: int
    unit: Literal["pages", "bytes"]


class ParseOpened(Struct, frozen=True, kw_only=True, tag="opened"):
    """A long document is open and waits for a range; its first page could be read."""

    task: int
    n_pages: int


class ParsePart(Struct, frozen=True, kw_only=True, tag="part"):
    """A part of the document is whole in the artifact's file, a container of its own; the next begins where it ends.

    With the last part, a range is done, or a file that is parsed from its beginning to its end in more than one part.
    """

    task: int
    offset: int
    size: int
    n_done: int  # pages of the range, or bytes of the file, up to its end
    is_last: bool = False


class ParseDone(Struct, frozen=True, kw_only=True, tag="done"):
    """The artifact is whole on its descriptor."""

    task: int
    n_pages: int | None
    n_chars: int
    n_tokens: int
    details: str | None = None  # one sentence where something could not be read


class ParseFailed(Struct, frozen=True, kw_only=True, tag="failed"):
    """There is no document in these bytes; without a ``kind`` it is not the file's fault: there was no space."""

    task: int
    kind: DocumentErrorKind | None
    details: str


ChildTask = ParseTask | MergeTask
ParserReply = ParseOpened | ParseProgress | ParsePart | ParseDone | ParseFailed
ZygoteOrder = ParseTask | MergeTask | KillTask
ZygoteReply = ZygoteReady | ChildBegun | ChildEnded


def frame(message: Struct) -> bytes:
    """Return a message as it goes over a stream."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class Frames:
    """Cuts a byte stream back into message bodies."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies that are whole now.

        Raises:
            msgspec.DecodeError: a body is longer than any message of ours.
        """
        self._pending += data
        while len(self._pending) >= LENGTH_BYTES:
            stop = LENGTH_BYTES + int.from_bytes(self._pending[:LENGTH_BYTES], "big")
            if stop > _MAX_FRAME_BYTES:
                raise msgspec.DecodeError(f"A message of {stop} bytes; at most {_MAX_FRAME_BYTES} were expected.")
            if len(self._pending) < stop:
                return
            body, self._pending = self._pending[LENGTH_BYTES:stop], self._pending[stop:]
            yield body
