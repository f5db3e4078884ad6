"""A pool of parsers that does what a test tells it, in the place of real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from longscroll.documents.messages import ParseDone, ParseProgress
from longscroll.documents.parsers import ParseListener
from longscroll.types import Readable

ARTIFACT_BYTES = b"an artifact"
PREVIEW_BYTES = b"its beginning"


class ScriptedParsers:
    """Answers every parse from a script: what it raises or returns, in order; the last entry goes on for ever.

    While ``gate`` is closed, a parse that has begun does not end; meanwhile a test may ``report`` and ``preview``.
    """

    def __init__(self, *script: Exception | ParseDone, n_children: int = 2) -> None:
        self.n_children = n_children
        self.gate = asyncio.Event()
        self.gate.set()
        self.n_running = 0
        self.n_calls = 0
        self.listener: ParseListener | None = None  # of the parse that began last
        self._artifact = Path()
        self._n_previews = 0
        self._script = list(script) or [done()]

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Write an artifact and end as the script says."""
        assert await asyncio.to_thread(file.is_file), f"{filename} is there to be read"
        self.n_calls += 1
        self.n_running += 1
        self.listener, self._artifact = listener, artifact
        try:
            await self.gate.wait()
        finally:
            self.n_running -= 1
        ending = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(ending, Exception):
            raise ending
        await asyncio.to_thread(artifact.write_bytes, ARTIFACT_BYTES)
        return ending

    def report(self, progress: ParseProgress) -> None:
        """Say how far the last parse is."""
        assert self.listener is not None, "a parse has begun"
        self.listener.progressed(progress)

    async def preview(self, readable: Readable, content: bytes = PREVIEW_BYTES) -> Path:
        """Give the beginning of the last parse's document; return the path that it was given at."""
        assert self.listener is not None, "a parse has begun"
        self._n_previews += 1
        path = self._artifact.with_name(f"{self._artifact.name}.preview-{self._n_previews}")
        await asyncio.to_thread(path.write_bytes, content)
        await self.listener.readable(path, readable)
        return path


def done(*, details: str | None = None) -> ParseDone:
    """Return the end of a parse that went well."""
    return ParseDone(task=1, n_pages=3, n_chars=120, n_tokens=40, details=details)


def progressed(n_done: int, n_total: int) -> ParseProgress:
    """Return a report of pages."""
    return ParseProgress(task=1, n_done=n_done, n_total=n_total, unit="pages")
