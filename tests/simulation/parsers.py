"""A pool of parsers in virtual time: what becomes of a file depends on its nature and on luck.

Knows files, artifacts and previews as paths, as the real pool does.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from functools import partial
from pathlib import Path

from longscroll.documents.messages import ParseDone, ParseProgress
from longscroll.documents.parsers import ParseListener
from longscroll.documents.zygote import NoZygote, ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull
from longscroll.types import Readable
from simulation.plan import Upload
from simulation.world import Life, World

MAX_ATTEMPTS = 12
"""What ingestion is told; a file that kills its parsers must end by it, others never come near."""

END_OF_ARTIFACT = b" whole"


class SimulatedParsers:
    """The ``ParserPool`` of one process."""

    def __init__(self, world: World, life: Life, uploads: dict[str, Upload], *, n_children: int) -> None:
        self.n_children = n_children
        self._world = world
        self._life = life
        self._uploads = uploads  # by file name
        self._slots = asyncio.Semaphore(n_children)
        self._open: set[Path] = set()

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Read the pages of a file, one after another, and write its artifact."""
        upload = self._uploads[filename]
        me = self._life.name, filename
        async with self._slots:
            self._world.parsing.add(me)
            try:
                self._meet_bad_luck(filename)
                await self._read(upload, file, artifact, listener)
            finally:
                if not self._life.is_dead:
                    self._world.parsing.discard(me)
        return ParseDone(task=1, n_pages=upload.n_pages, n_chars=1, n_tokens=1)

    async def _read(self, upload: Upload, file: Path, artifact: Path, listener: ParseListener) -> None:
        content = file.read_bytes()
        for n_done in range(1, upload.n_pages + 1):
            await self._read_page(upload)
            self._write(artifact, content + b" in part")
            listener.progressed(ParseProgress(task=1, n_done=n_done, n_total=upload.n_pages, unit="pages"))
            if n_done < upload.n_pages and self._world.random.random() < 0.3:
                preview = artifact.with_name(f"{artifact.name}.preview-{n_done}")
                self._write(preview, content + END_OF_ARTIFACT)
                await listener.readable(preview, Readable(n_done=n_done, n_tokens=n_done))
        self._write(artifact, content + END_OF_ARTIFACT)

    async def _read_page(self, upload: Upload) -> None:
        random = self._world.random
        await asyncio.sleep(random.random() * upload.page_s)
        if upload.nature == "broken":
            raise DocumentError(DocumentErrorKind.ENCRYPTED, "A password is needed.")
        if upload.nature == "poisonous":
            raise ZygoteLost
        if upload.nature == "stubborn" and upload not in self._world.spent and not self._world.is_quiet:
            self._world.spent.add(upload)
            self._world.note(self._life.name, f"never ends its parse of file-{upload.number}")
            end = partial(self._world.kill, self._life, known_after_s=random.random())
            self._world.loop.call_later(2 * random.random(), end, context=Context())
            await asyncio.Event().wait()

    def _meet_bad_luck(self, filename: str) -> None:
        if self._world.is_quiet:
            return
        luck = self._world.random.random()
        if luck < 0.03:
            raise NoZygote
        if luck < 0.06 and ("lost", filename) not in self._world.spent:
            self._world.spent.add(("lost", filename))
            raise ZygoteLost
        if luck < 0.09:
            raise StorageFull("No space is left.")

    def _write(self, path: Path, content: bytes) -> None:
        """Write to a file as who holds it open does: once it is unlinked, nobody sees what is written."""
        if self._world.loop.time() < self._world.full_until_s:
            raise StorageFull("No space is left.")
        if path not in self._open:
            self._open.add(path)
            if path not in self._life.staged:
                self._life.staged.append(path)
        elif not path.is_file():
            return
        path.write_bytes(content)
