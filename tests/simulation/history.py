"""One history: the plan is carried out on the real ingestion and file service of several processes, then all must rest.

Owns processes' beginnings and ends, and what clients do. ``play`` is the whole of it; a plan always plays the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct
from structlog.testing import capture_logs

from longscroll.documents.ingest import Ingest, IngestOptions
from longscroll.errors import FileNotFound, StorageFull
from longscroll.services.files import FileOptions, FileService
from longscroll.services.in_use import FilesInUse
from longscroll.storage.base import Claim
from longscroll.storage.memory import MemoryFiles
from longscroll.types import File, Progress
from simulation.judge import Fate, StrictJudge, Violation
from simulation.loop import SimulatedLoop
from simulation.parsers import MAX_ATTEMPTS, SimulatedParsers
from simulation.plan import (
    ACTIVE_S,
    Delete,
    DiskFull,
    Event,
    HangUp,
    Jump,
    Kill,
    Outage,
    Partition,
    Plan,
    Requeue,
    Stop,
    Suspend,
    Upload,
    Watch,
)
from simulation.views import BlobsView, FilesView, PresenceView
from simulation.world import BEGINNING, Doom, Key, Life, WholeBlobs, World

LIMIT_S = 300.0
MAX_TOLD = 1000
BACK_AT_LATEST_S = 7.0
API = 0

OPTIONS = IngestOptions(
    lease_s=4.0, renew_s=1.0, poll_s=1.0, backoff_s=0.3, max_backoff_s=2.0, max_attempts=MAX_ATTEMPTS
)


class Cast(Struct, frozen=True, kw_only=True):
    """The code that a history is played with; a mutant stands in for one of them."""

    files: type[MemoryFiles] = MemoryFiles
    blobs_view: type[BlobsView] = BlobsView
    presence_view: type[PresenceView] = PresenceView
    ingest: type[Ingest] = Ingest
    service: type[FileService] = FileService
    options: IngestOptions = OPTIONS


def told(event: Any) -> str:
    """Return an event of a history in a few words."""
    if not isinstance(event, tuple):
        return str(event)
    operation, result, obstacle = event
    about = [operation.key[1]] if operation.key else []
    about += [f"#{operation.claim.fence}"] if operation.claim else []
    about += [operation.details] if operation.details else []
    said = _short(result) if obstacle is None or result is obstacle else f"{_short(result)}, answered {obstacle!r}"
    return f"{operation.what} {' '.join(about)} → {said}"


def _short(result: object) -> str:
    match result:
        case Claim():
            return f"{result.file.id} #{result.fence} until {result.lease_until:%M:%S.%f}"
        case File():
            return f"{result.id} {result.status} after {result.attempt}"
        case Path():
            return "a path"
        case set():
            return f"{{{', '.join(sorted(result))}}}"
        case list():
            return f"[{', '.join(map(_short, result))}]"
        case dict():
            return f"[{', '.join(map(_short, result.values()))}]"
    return str(result)


class HistoryFailed(AssertionError):
    """A plan whose history broke a rule, with all that happened."""

    def __init__(self, plan: Plan, error: BaseException, events: list[tuple[float, str, Any]]) -> None:
        lines = [f"{at_s:9.4f}  {who:12}  {told(event)}" for at_s, who, event in events[:MAX_TOLD]]
        lines += [f"and {len(events) - MAX_TOLD} events more"] if len(events) > MAX_TOLD else []
        planned = [f"           {event}" for event in plan.events]
        super().__init__("\n".join([f"seed {plan.seed}: {error}", *planned, "", *lines, f"seed {plan.seed}: {error}"]))
        self.plan = plan
        self.rule = error.rule if isinstance(error, Violation) else type(error).__name__


class Process:
    """One simulated process: the real ingestion and file service over its views of the world."""

    def __init__(self, world: World, life: Life, cast: Cast, parsers: SimulatedParsers) -> None:
        clock = partial(world.clock, life)
        files, blobs = FilesView(world, life), cast.blobs_view(world, life)
        presence = cast.presence_view(world, life)
        self.life = life
        self.ingest = cast.ingest(files, blobs, parsers, presence=presence, clock=clock, options=cast.options)
        self.files = cast.service(files, blobs, self.ingest, FileOptions(), now=clock, in_use=FilesInUse())
        self.is_serving = False
        self.clients: set[asyncio.Task[Any]] = set()

    async def run(self, *, is_api: bool) -> None:
        """Begin as the service does."""
        if is_api:
            await self.files.recover()
        await self.ingest.start()
        self.is_serving = True

    async def stop(self) -> None:
        """End as the service does: clients are finished first."""
        self.is_serving = False
        self.ingest.drain()
        for client in self.clients:
            if client.get_name() == "watch":
                client.cancel()
        if self.clients:
            await asyncio.wait(self.clients)
        await self.ingest.stop()
        self.files.close()
        await asyncio.sleep(1)  # what threads had begun comes to its end


class History:
    """A plan under way."""

    def __init__(self, plan: Plan, cast: Cast, loop: SimulatedLoop) -> None:
        self.world = World(loop, Random(plan.seed), cast.files(), WholeBlobs())
        self.judge = StrictJudge(self.world, plan)
        self.world.judge = self.judge
        self._plan = plan
        self._cast = cast
        self._loop = loop
        self._slots: list[Process] = []
        self._uploads: dict[str, Upload] = {}
        self._n_born = 0

    async def play(self) -> None:
        """Carry out the plan, then see that everything comes to rest as it must."""
        self._slots = [self._begin(slot, skew_s) for slot, skew_s in enumerate(self._plan.skews_s)]
        replacing = asyncio.create_task(self._replace_the_dead())
        await asyncio.gather(asyncio.sleep(ACTIVE_S), *map(self._act, self._plan.events))
        self._be_quiet()
        await self._come_to_rest()
        replacing.cancel()
        self.judge.look_at_rest()
        await self._replace(API, Stop(0, API, 0.1))
        await self._come_to_rest()
        self.judge.look_at_the_end()

    def _begin(self, slot: int, skew_s: float) -> Process:
        name = f"{'worker' if slot else 'api'}-{slot}.{self._n_born}"
        self._n_born += 1
        life = Life(name=name, lane=self._loop.add_lane(name), skew_s=skew_s, staged=[])
        self.world.lives[name] = life
        self.world.sweep()  # as a store does when it is opened
        parsers = SimulatedParsers(self.world, life, self._uploads, n_children=self._plan.n_children)
        process = Process(self.world, life, self._cast, parsers)
        self.world.note(name, "begins")
        self._loop.spawn(life.lane, self._run(process, slot))
        return process

    async def _run(self, process: Process, slot: int) -> None:
        try:
            await process.run(is_api=slot == API)
        except (StorageFull, ConnectionError) as error:
            self.world.note(process.life.name, f"cannot begin: {error}")
            self.world.leave(process.life)
            self._loop.spawn(self._loop.main, self._begin_again(slot, 0.5))

    async def _begin_again(self, slot: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if self._slots[slot].life.is_dead:
            self._slots[slot] = self._begin(slot, self._plan.skews_s[slot])

    def _be_quiet(self) -> None:
        """End all faults; who is dead is replaced."""
        world = self.world
        world.note("world", "no fault any more")
        world.is_quiet = True
        world.full_until_s = world.unsure_until_s = 0.0
        for slot, process in enumerate(self._slots):
            process.life.doom = None
            process.life.cut_off_until_s = 0.0
            self.world.resume(process.life)
            if process.life.is_dead:
                self._slots[slot] = self._begin(slot, self._plan.skews_s[slot])

    async def _come_to_rest(self) -> None:
        while self.judge.unfinished() or not all(self._is_at_rest(process) for process in self._slots):
            await asyncio.sleep(0.25)
        await asyncio.sleep(1)

    def _is_at_rest(self, process: Process) -> bool:
        is_idle = all(process.ingest.progress(*key) is None for key in self.judge.fates)
        return process.is_serving and is_idle and not process.clients

    async def _act(self, event: Event) -> None:
        await asyncio.sleep(event.at_s)
        match event:
            case Kill() | Stop():
                await self._replace(event.slot, event)
            case Suspend():
                life = self._slots[event.slot].life
                life.doom = Doom(True, event.before, event.n_changes, partial(self.world.suspend, life, event.for_s))
            case Partition():
                self.world.note(self._slots[event.slot].life.name, f"is cut off for {event.for_s:.2f} s")
                self._slots[event.slot].life.cut_off_until_s = self._loop.time() + event.for_s
            case Jump():
                self.world.note(self._slots[event.slot].life.name, f"has its clock set by {event.by_s:.2f} s")
                self._slots[event.slot].life.skew_s += event.by_s
            case HangUp():
                self.world.note(self._slots[event.slot].life.name, "loses its clients")
                for client in self._slots[event.slot].clients:
                    client.cancel()
            case DiskFull():
                self.world.full_until_s = self._loop.time() + event.for_s
            case Outage():
                self.world.unsure_until_s = self._loop.time() + event.for_s
            case _:
                await self._serve(event)

    async def _replace_the_dead(self) -> None:
        """Begin anew what died by itself."""
        while True:
            await asyncio.sleep(1)
            for slot, process in enumerate(self._slots):
                if process.life.is_dead and process.life.died_at_s < self._loop.time() - BACK_AT_LATEST_S:
                    await self._begin_again(slot, 0)

    async def _replace(self, slot: int, event: Kill | Stop) -> None:
        process = self._slots[slot]
        if process.life.is_dead:
            return
        if isinstance(event, Stop):
            self.world.note(process.life.name, "stops")
            stopping = self._loop.spawn(process.life.lane, process.stop())
            while not stopping.done() and not process.life.is_dead:
                await asyncio.sleep(0.1)
            self.world.leave(process.life)
        elif event.point == "now":
            self.world.kill(process.life, known_after_s=event.known_after_s)
        else:
            kill = partial(self.world.kill, process.life, known_after_s=event.known_after_s)
            process.life.doom = Doom(event.point == "before", event.beside, event.n_changes, kill)
        while not process.life.is_dead and process.life.doom is not None and self._loop.time() < ACTIVE_S:
            await asyncio.sleep(0.1)
        await self._begin_again(slot, event.back_after_s)

    async def _serve(self, event: Upload | Delete | Requeue | Watch) -> None:
        """Let a process do what a client wishes; when it dies meanwhile, the client hears nothing."""
        slot = event.slot if isinstance(event, Watch) else API
        while not self._slots[slot].is_serving or self._slots[slot].life.is_dead:
            await asyncio.sleep(0.1)
        process = self._slots[slot]
        name = type(event).__name__.lower()
        serving = self._loop.spawn(process.life.lane, self._handle(process, event))
        serving.set_name(name)
        process.clients.add(serving)
        serving.add_done_callback(process.clients.discard)

    async def _handle(self, process: Process, event: Upload | Delete | Requeue | Watch) -> None:
        work: Coroutine[Any, Any, None]
        if isinstance(event, Upload):
            work = self._upload(process, event)
        else:
            key = self._key_of(event.number)
            if key is None or not self.judge.fates[key].is_acknowledged:
                return
            handlers = {Delete: self._delete, Requeue: self._requeue, Watch: self._watch}
            work = handlers[type(event)](process, key)
        try:
            await work
        except (StorageFull, ConnectionError, FileNotFound) as error:
            self.world.note("client", f"{event} met {type(error).__name__}")

    async def _upload(self, process: Process, event: Upload) -> None:
        file = File(
            workspace=event.workspace,
            id=f"file-{event.number}",
            filename=f"{event.number}.txt",
            purpose="file-extract",
            size_bytes=event.n_pages,
            sha256="",
            created_at=BEGINNING,
        )
        key = file.workspace, file.id
        self._uploads[file.filename] = event
        self.judge.fates.setdefault(key, Fate(event.nature))
        staged = process.files.blobs.staging_path()
        staged.write_bytes(file.id.encode())
        try:
            await process.files.store(staged, file)
        finally:
            staged.unlink(missing_ok=True)
        self.judge.fates[key].is_acknowledged = True
        self.world.note("client", f"hears that {file.id} is kept")

    async def _delete(self, process: Process, key: Key) -> None:
        self.world.note("client", f"deletes {key}")
        since_s = self._loop.time()
        await process.files.delete(*key)
        self.judge.erased(key, since_s=since_s)
        self.world.note("client", f"hears that {key} is deleted")

    async def _requeue(self, process: Process, key: Key) -> None:
        if await process.files.files.requeue(*key):
            process.ingest.notify()

    async def _watch(self, process: Process, key: Key) -> None:
        since_s = self._loop.time()
        async with aclosing(process.ingest.watch(*key)) as events:
            async for event in events:
                if not isinstance(event, Progress):
                    self.world.note("client", f"sees that {key} is {event}")
                    self.judge.watched(key, since_s, event)

    def _key_of(self, number: int) -> Key | None:
        upload = self._uploads.get(f"{number}.txt")
        return (upload.workspace, f"file-{number}") if upload is not None else None


def play(plan: Plan, cast: Cast | None = None) -> History:
    """Play a plan to its end.

    Raises:
        HistoryFailed: a rule was broken; says which, and all that happened.
    """
    loop = SimulatedLoop(Random(plan.seed), limit_s=LIMIT_S)
    history = History(plan, cast or Cast(), loop)
    try:
        with capture_logs() as lines:
            loop.run_until_complete(history.play())
        history.judge.look_at_log(lines)
    except AssertionError as error:
        raise HistoryFailed(plan, error, history.world.events) from error
    finally:
        history.world.is_over = True
        loop.end()
    return history
