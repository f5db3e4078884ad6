"""The messages between the service and its parser processes: one place, one struct each, msgpack with a length in front."""

from __future__ import annotations

from msgspec import Struct

from longscroll.errors import DocumentErrorKind


class ParseTask(Struct, frozen=True, kw_only=True, tag="parse"):
    """Parse the file whose descriptor travels with this message, write the artifact to the second descriptor."""

    task: int
    filename: str
    size_bytes: int
    max_pages: int = 15000
    memory_bytes: int = 2 << 30
    artifact_bytes: int = 2 << 30


class ParseProgress(Struct, frozen=True, kw_only=True, tag="progress"):
    """So much is done; ``n_total`` is known as soon as the file is open."""

    task: int
    n_done: int
    n_total: int
    unit: str  # "pages" | "bytes"


class ParseDone(Struct, frozen=True, kw_only=True, tag="done"):
    """The artifact is whole on its descriptor."""

    task: int
    n_pages: int | None
    n_chars: int
    n_tokens: int
    details: str | None = None  # one sentence where something could not be read


class ParseFailed(Struct, frozen=True, kw_only=True, tag="failed"):
    """There is no document in these bytes."""

    task: int
    kind: DocumentErrorKind
    details: str


ParserReply = ParseProgress | ParseDone | ParseFailed
