"""Previews of a document that is being parsed: its beginning, merged anew whenever that has doubled.

Owns when there is one. It is made beside the parse, which never waits for it. Knows no child and no store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from longscroll.documents.messages import ParseDone
from longscroll.documents.parts import Beginning
from longscroll.documents.zygote import ZygoteLost
from longscroll.errors import DocumentError, StorageFull
from longscroll.types import Readable

log = structlog.get_logger()


class Previews:
    """The previews of one document.

    Args:
        merge: makes an artifact of the parts of a beginning at a path.
        give: hands it to who listens.
        fresh_path: returns a path to make it at.
    """

    def __init__(
        self,
        merge: Callable[[Beginning, Path], Awaitable[ParseDone]],
        give: Callable[[Path, Readable], Awaitable[None]],
        fresh_path: Callable[[], Path],
    ) -> None:
        self._merge = merge
        self._give = give
        self._fresh_path = fresh_path
        self._n_done = 0  # of the document, in the last one
        self._is_giving = False
        self._task: asyncio.Task[None] | None = None

    def consider(self, beginning: Beginning) -> None:
        """Begin to make a preview, if there is none yet or the beginning has doubled since the last."""
        is_free = self._task is None or self._task.done()
        if is_free and beginning.parts and beginning.n_done >= 2 * self._n_done:
            self._n_done = beginning.n_done
            self._task = asyncio.create_task(self._make(beginning))

    async def stop(self) -> None:
        """Drop a preview that is being made; one that is being given is given to the end."""
        if self._task is None:
            return
        if not self._is_giving:
            self._task.cancel()
        await asyncio.wait([self._task])

    def check(self) -> None:
        """Raise what the listener raised, if it did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    async def _make(self, beginning: Beginning) -> None:
        path = self._fresh_path()
        try:
            done = await self._merge(beginning, path)
        except (DocumentError, StorageFull, ZygoteLost) as error:  # nothing visible yet; or the parse will meet it too
            log.info("parsers.no_preview", error=type(error).__name__)
            return
        self._is_giving = True
        try:
            await self._give(path, Readable(n_done=beginning.n_done, n_tokens=done.n_tokens))
        finally:
            self._is_giving = False
