"""The pool of contained parsers: files in, artifacts out, over the cores, within limits.

Owns how many children there are at once. Knows no store: a file and an artifact are paths here.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from longscroll.documents.assembly import Assembly, Job, ParseListener, ParserOptions
from longscroll.documents.children import Children
from longscroll.documents.messages import ParseDone

__all__ = ["ParseListener", "ParserOptions", "Parsers"]

N_SLOTS_PER_CHILD = 3
"""A file has at most ``n_children`` at once; all together have so many times that, so that few never fill the pool."""


class Parsers:
    """Parses files in contained children; an async context manager, or ``start`` and ``stop``."""

    def __init__(self, *, n_children: int = 0, options: ParserOptions | None = None) -> None:
        self.n_children = n_children or os.cpu_count() or 1
        self._options = options or ParserOptions()
        self._spare = asyncio.Semaphore(self.n_children - 1)
        self._children = Children(n_slots=N_SLOTS_PER_CHILD * self.n_children, stall_s=self._options.stall_s)

    @property
    def zygote_pid(self) -> int | None:
        """The number of the process that forks the children, where there is one."""
        return self._children.zygote_pid

    @property
    def n_restarts(self) -> int:
        """How many times that process was started again."""
        return self._children.n_restarts

    async def start(self) -> None:
        """Start the zygote; it loads its libraries while the service goes on.

        Raises:
            NoZygote: it cannot be started.
        """
        await self._children.start()

    async def stop(self) -> None:
        """End the zygote and all children; there will be no other."""
        await self._children.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Parse a file and write its artifact to a fresh path; cancelling this ends all its children.

        A long document is parsed in parts, which lie beside the artifact until they are merged; meanwhile the listener
        is given its beginning, whenever that has doubled. The artifact depends on the file alone, not on the cores.

        Raises:
            DocumentError: there is no document in the file, or it cannot be read within the limits.
            StorageFull: no space is left for the artifact.
            ZygoteLost: parser processes die again and again while they have the file.
            NoZygote: none can be started; this has nothing to do with the file.
        """
        size_bytes = (await asyncio.to_thread(file.stat)).st_size
        job = Job(file=file, artifact=artifact, filename=filename, size_bytes=size_bytes, listener=listener)
        return await Assembly(self._children, self._options, job, spare=self._spare).run(n_children=self.n_children)
