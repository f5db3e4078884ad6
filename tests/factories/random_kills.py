"""Kills at moments that nobody chose: one process of a service or its worker after the other, under a workload."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from contextlib import suppress
from enum import StrEnum

import psutil
from msgspec import Struct, field

from factories.families import Family, is_alive
from factories.history import Fate, Harm, History
from factories.kills import POLL_S, Stage
from factories.workload import ask_any, delete_any, upload_any

MAX_PAUSE_S = 1.2
VICTIM_WITHIN_S = 2.0


class Kind(StrEnum):
    """What a process was for."""

    API = "api"
    WORKER = "worker"
    ZYGOTE = "zygote"
    CHILD = "parser child"
    READER = "reader"


WEIGHTS = {Kind.API: 5, Kind.WORKER: 2, Kind.ZYGOTE: 2, Kind.CHILD: 3, Kind.READER: 2}


class Tally(Struct):
    """What a run came to."""

    kills: Counter[Kind] = field(default_factory=Counter)
    recoveries_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0


class Killer:
    """Kills one process at a time on a stage whose service and worker run, and sees to it that they run again."""

    def __init__(self, stage: Stage, seed: int) -> None:
        """Choose by ``seed``; when the chosen one dies, and what it was about to do, is up to the machine."""
        self._stage = stage
        self._chance = random.Random(seed)
        self.tally = Tally()

    def kill_one(self) -> None:
        """Kill one process, replace what does not replace itself, and mostly wait until all is well."""
        kind = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind is Kind.API:
            self._kill_api()
        elif kind is Kind.WORKER:
            self._kill_worker()
        elif not self._kill_member(kind):
            return
        self.tally.kills[kind] += 1

    def _kill_api(self) -> None:
        stage, service = self._stage, self._stage.service
        stage.clients.service = None
        service.process.kill()
        stage.bury(service)
        self._recover(stage.start())

    def _kill_worker(self) -> None:
        stage, worker = self._stage, self._stage.worker
        assert worker is not None
        worker.process.kill()
        stage.bury(worker)
        began = time.monotonic()
        stage.start_worker()
        self._recover(began)

    def _recover(self, began: float) -> None:
        """Wait until all small files are read that were there before; now and then kill again before that."""
        small = [upload for upload in self._stage.history.of(Fate.KEPT) if upload.is_small]
        if self._chance.random() < 0.8:
            self.tally.recoveries_s.append(self._stage.until_final(small) - began)

    def _kill_member(self, kind: Kind) -> bool:
        """Kill a process of the service or of the worker; False when there is none of the kind to be found."""
        end = time.monotonic() + VICTIM_WITHIN_S
        while not (dying := self._kill_one_of(self._members(kind))):
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        self._stage.look_for_orphans(lambda: [process for process in dying if is_alive(process)])
        self._stage.until_final(self._stage.history.of(Fate.KEPT))  # a file may see no end of dead parsers
        return True

    def _kill_one_of(self, living: list[psutil.Process]) -> list[psutil.Process]:
        """Kill one, and return it with the descendants that it had; nothing when there is none any more."""
        if not living:
            return []
        victim = self._chance.choice(living)
        with suppress(psutil.NoSuchProcess):
            dying = [victim, *victim.children(recursive=True)]
            victim.kill()
            return dying
        return []

    def _members(self, kind: Kind) -> list[psutil.Process]:
        families = [running.family for running in (self._stage.service, self._stage.worker) if running is not None]
        members = {Kind.ZYGOTE: Family.zygotes, Kind.CHILD: Family.children, Kind.READER: Family.readers}[kind]
        return [process for family in families for process in members(family)]


def kill_at_random(stage: Stage, *, n_kills: int, seed: int) -> Tally:
    """Run the workload, kill so many processes, let the rest come to its end, and look at everything."""
    began = time.monotonic()
    chance = random.Random(seed)
    stage.start()
    stage.start_worker()
    stage.watch()
    for name, act in (("upload 1", upload_any), ("upload 2", upload_any), ("ask", ask_any), ("delete", delete_any)):
        stage.act(name, act)
    killer = Killer(stage, seed)
    while killer.tally.kills.total() < n_kills:
        time.sleep(chance.uniform(0, MAX_PAUSE_S))
        killer.kill_one()
    stage.rest()
    killer.tally.wall_s = time.monotonic() - began
    return killer.tally


def report(tally: Tally, history: History) -> str:
    """Return the table of a run: what died, what was promised, what went wrong, how long it took."""
    harms = Counter(kind for kind, _ in history.harms)
    seconds = sorted(tally.recoveries_s) or [0.0]
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    rows = [
        *((f"kills: {kind}", str(tally.kills[kind])) for kind in Kind),
        ("acknowledged uploads", str(history.counts[Fate.KEPT])),
        ("acknowledged deletions", str(history.counts[Fate.DELETED])),
        ("answers", str(history.counts["answers"])),
        ("refused for now (429, 503)", str(history.counts["refused for now"])),
        ("artifacts verified", str(history.counts["artifacts verified"])),
        *((str(harm), str(harms[harm])) for harm in Harm),
        ("names of deleted files left by SQLite", str(len(history.names_left))),
        ("recovery p50 / p95 / max", f"{statistics.median(seconds):.2f} / {p95:.2f} / {seconds[-1]:.2f} s"),
        ("wall", f"{tally.wall_s:.0f} s"),
    ]
    return "\n".join(f"{name:<40}{value:>24}" for name, value in rows)
