"""What one simulated process sees of the shared world: stores that take time, fail, and never answer the dead.

An operation takes effect at one moment between the call and the answer, whether or not the caller still waits for it,
as work in a thread does. Knows nothing of what the process does with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from longscroll.errors import StorageFull
from longscroll.storage.base import NO_LIMIT, Claim, FileFilter, Outcome, Quota
from longscroll.storage.memory import MemoryFiles
from longscroll.types import File, HeldFiles, Progress
from simulation.world import Key, Life, Operation, World, at_once

T = TypeVar("T")

WRITES = frozenset({"add", "mark_deleting", "remove", "claim", "renew", "publish", "release", "forfeit", "requeue"})
CHANGES = WRITES | {"adopt", "remove_blob", "sweep_staging"}
"""What changes the world: beside these a process is killed."""


class View:
    """One process's way to the world."""

    def __init__(self, world: World, life: Life) -> None:
        self.world = world
        self.life = life

    async def ask(self, operation: Operation, effect: Callable[[], T]) -> T:
        """Have ``effect`` take place after a while, and return what it returns after another."""
        if self.world.is_over:
            raise asyncio.CancelledError
        loop = self.world.loop
        answer: asyncio.Future[T] = loop.create_future()
        wait_s = max(0.0, self.life.cut_off_until_s - loop.time()) + self.world.delay_s()
        loop.call_later(wait_s, self._take_effect, operation, effect, answer)
        return await answer

    def _take_effect(self, operation: Operation, effect: Callable[[], T], answer: asyncio.Future[T]) -> None:
        world, life = self.world, self.life
        is_dropped = answer.cancelled() and world.random.random() < 0.3  # it was still waiting for its thread
        if world.is_over or is_dropped:
            return
        if self._is_struck(operation, is_before=True):
            world.loop.call_soon(self._take_effect, operation, effect, answer)  # once it goes on, if ever
            return
        obstacle = self._obstacle(operation)
        result: Any = obstacle
        if obstacle is None or (isinstance(obstacle, ConnectionError) and world.random.random() < 0.5):
            try:
                result = effect()
            except (StorageFull, FileNotFoundError, ValueError) as error:
                result = obstacle = error
        world.note(life.name, (operation, result, obstacle))
        if world.judge is not None:
            world.judge.look(life, operation, result)
        world.loop.call_later(world.delay_s(), _give, answer, result if obstacle is None else obstacle)
        self._is_struck(operation, is_before=False)

    def _obstacle(self, operation: Operation) -> Exception | None:
        now = self.world.loop.time()
        if now < self.world.full_until_s and operation.what in WRITES | {"adopt"}:
            return StorageFull("No space is left.")
        is_of_rows = isinstance(self, FilesView)
        if now < self.world.unsure_until_s and is_of_rows and self.world.random.random() < 0.3:
            return ConnectionError("The rows cannot be reached.")
        return None

    def _is_struck(self, operation: Operation, *, is_before: bool) -> bool:
        doom = self.life.doom
        if doom is None or doom.is_before != is_before or operation.what not in CHANGES:
            return False
        if doom.kind not in ("", operation.what):
            return False
        doom.n_changes -= 1
        if doom.n_changes >= 0:
            return False
        self.life.doom = None
        self.world.note(self.life.name, f"is struck {'before' if is_before else 'after'} {operation.what}")
        doom.strike()
        return True


def _give(answer: asyncio.Future[Any], result: object) -> None:
    if answer.done():
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)


class FilesView(View):
    """The rows, as a ``FileStore``."""

    async def add(self, file: File, *, quota: Quota | None = None) -> File:
        return await self._ask("add", lambda rows: rows.add(file, quota=quota), key=(file.workspace, file.id))

    async def get(self, workspace: str, file_id: str) -> File | None:
        return await self._ask("get", lambda rows: rows.get(workspace, file_id), key=(workspace, file_id))

    async def get_many(self, workspace: str, file_ids: Sequence[str]) -> dict[str, File]:
        return await self._ask("get_many", lambda rows: rows.get_many(workspace, file_ids))

    async def page(
        self, workspace: str, *, which: FileFilter, after: str | None, limit: int, ascending: bool = False
    ) -> tuple[list[File], bool]:
        find = partial(MemoryFiles.page, which=which, after=after, limit=limit, ascending=ascending)
        return await self._ask("page", lambda rows: find(rows, workspace))

    async def numbered_page(self, workspace: str, *, number: int, size: int) -> tuple[list[File], int]:
        return await self._ask("page", lambda rows: rows.numbered_page(workspace, number=number, size=size))

    async def totals(self, workspace: str) -> tuple[int, int]:
        return await self._ask("totals", lambda rows: rows.totals(workspace))

    async def census(self, workspace: str | None) -> list[HeldFiles]:
        return await self._ask("census", lambda rows: rows.census(workspace))

    async def workspaces(self) -> list[str]:
        return await self._ask("workspaces", lambda rows: rows.workspaces())

    async def mark_deleting(self, workspace: str, file_id: str) -> bool:
        key = workspace, file_id
        return await self._ask("mark_deleting", lambda rows: rows.mark_deleting(workspace, file_id), key=key)

    async def remove(self, workspace: str, file_id: str) -> None:
        await self._ask("remove", lambda rows: rows.remove(workspace, file_id), key=(workspace, file_id))

    async def being_deleted(self) -> list[File]:
        return await self._ask("being_deleted", lambda rows: rows.being_deleted())

    async def claim(self, owner: str, *, now: datetime, lease_s: float, share: int = NO_LIMIT) -> Claim | None:
        return await self._ask("claim", lambda rows: rows.claim(owner, now=now, lease_s=lease_s, share=share))

    async def renew(self, claim: Claim, *, now: datetime, lease_s: float, progress: Progress | None = None) -> bool:
        def effect(rows: MemoryFiles) -> Coroutine[Any, Any, bool]:
            return rows.renew(claim, now=now, lease_s=lease_s, progress=progress)

        return await self._ask("renew", effect, claim=claim)

    async def publish(self, claim: Claim, outcome: Outcome) -> bool:
        return await self._ask("publish", lambda rows: rows.publish(claim, outcome), claim=claim)

    async def release(self, claim: Claim) -> None:
        await self._ask("release", lambda rows: rows.release(claim), claim=claim)

    async def is_claimed(self, workspace: str, file_id: str, *, now: datetime) -> bool:
        key = workspace, file_id
        return await self._ask("is_claimed", lambda rows: rows.is_claimed(workspace, file_id, now=now), key=key)

    async def owners(self) -> set[str]:
        return await self._ask("owners", lambda rows: rows.owners())

    async def forfeit(self, owners: Collection[str]) -> int:
        return await self._ask("forfeit", lambda rows: rows.forfeit(owners))

    async def requeue(self, workspace: str, file_id: str) -> bool:
        return await self._ask("requeue", lambda rows: rows.requeue(workspace, file_id), key=(workspace, file_id))

    async def _ask(
        self,
        what: str,
        effect: Callable[[MemoryFiles], Coroutine[Any, Any, T]],
        *,
        key: Key | None = None,
        claim: Claim | None = None,
    ) -> T:
        if claim is not None:
            key = claim.file.workspace, claim.file.id
        return await self.ask(Operation(what, key, claim), lambda: at_once(effect(self.world.files)))


class BlobsView(View):
    """The blobs, as a ``BlobStore``; what is staged here is this process's."""

    def staging_path(self) -> Path:
        path = self.world.blobs.staging_path()
        self.life.staged.append(path)
        return path

    async def sweep_staging(self) -> None:
        await self.ask(Operation("sweep_staging"), self.world.sweep)

    async def adopt(self, staged: Path, name: str) -> None:
        blobs = self.world.blobs
        await self.ask(_operation("adopt", name), lambda: at_once(blobs.adopt(staged, name)))

    async def local_path(self, name: str) -> Path | None:
        blobs = self.world.blobs
        return await self.ask(_operation("local_path", name), lambda: at_once(blobs.local_path(name)))

    async def local_paths(self, names: Sequence[str]) -> list[Path | None]:
        return [await self.local_path(name) for name in names]

    async def read(self, name: str, *, block_bytes: int = 1 << 20) -> AsyncIterator[bytes]:
        blobs = self.world.blobs
        return await self.ask(_operation("read", name), lambda: at_once(blobs.read(name, block_bytes=block_bytes)))

    async def delete_prefix(self, prefix: str) -> None:
        for name in await self.list_names(prefix):
            await self.ask(_operation("remove_blob", name), partial(self.world.blobs.remove, name))

    async def list_names(self, prefix: str) -> Sequence[str]:
        blobs = self.world.blobs
        return await self.ask(Operation("list_names", details=prefix), lambda: at_once(blobs.list_names(prefix)))


class PresenceView(View):
    """Who is known to be dead, as a ``Presence``."""

    def __init__(self, world: World, life: Life) -> None:
        super().__init__(world, life)
        self.owner = life.name

    async def dead(self, owners: Collection[str]) -> set[str]:
        return await self.ask(Operation("dead"), lambda: {name for name in owners if self.world.is_known_dead(name)})


def _operation(what: str, name: str) -> Operation:
    _, workspace, _, file_id, part = name.split("/", 4)
    return Operation(what, (workspace, file_id), details=part)
