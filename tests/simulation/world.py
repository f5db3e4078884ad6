"""The one thing that simulated processes share: rows and blobs, what goes wrong with them, and what truly happened.

Owns the faults that are under way and the record of events. Knows no process's code; ``views`` are what a process sees
of it, ``judge`` says what must be true of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from longscroll.storage.base import Claim
from longscroll.storage.memory import MemoryBlobs, MemoryFiles
from simulation.disk import new_disk
from simulation.loop import Lane, SimulatedLoop

T = TypeVar("T")
Key = tuple[str, str]  # workspace, file id

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Doom(Struct):
    """What will befall a process beside one of its next changes of the world: ``strike`` kills or suspends it."""

    is_before: bool
    kind: str  # of change; empty: any
    n_changes: int  # of the kind, that are made until then
    strike: Callable[[], None]


class Life(Struct, kw_only=True):
    """A simulated process as the world knows it."""

    name: str
    lane: Lane
    skew_s: float  # how far its clock is off
    is_dead: bool = False
    died_at_s: float = 0.0
    known_dead_at_s: float | None = None  # None while it lives, or when nobody will ever know
    cut_off_until_s: float = 0.0
    doom: Doom | None = None
    staged: list[Path] = []


class Operation(Struct, frozen=True):
    """What a process asks of a store."""

    what: str
    key: Key | None = None  # of the file that it is about
    claim: Claim | None = None  # under which it is done
    details: str = ""


class Judge(Protocol):
    """Who looks at everything that happens."""

    def look(self, life: Life, operation: Operation, result: Any) -> None:
        """Look at the world after an operation took effect there; raises when something is wrong."""


class WholeBlobs(MemoryBlobs):
    """Memory blobs that are removed name by name, as disks do it, and that the judge sees at once."""

    def __init__(self) -> None:
        self._folder = new_disk()
        self._paths: dict[str, Path] = {}

    def remove(self, name: str) -> None:
        """Remove one blob; nothing happens when there is none."""
        path = self._paths.pop(name, None)
        if path is not None:
            path.unlink()

    def content(self, name: str) -> bytes | None:
        """Return a blob; None when there is none."""
        path = self._paths.get(name)
        return path.read_bytes() if path is not None else None

    def names(self) -> list[str]:
        """Return every name."""
        return sorted(self._paths)


class World:
    """The shared stores and all that is true of them."""

    def __init__(self, loop: SimulatedLoop, random: Random, files: MemoryFiles, blobs: WholeBlobs) -> None:
        self.loop = loop
        self.random = random
        self.files = files
        self.blobs = blobs
        self.judge: Judge | None = None
        self.lives: dict[str, Life] = {}
        self.parsing: set[tuple[str, str]] = set()  # process and file name
        self.is_quiet = False  # nothing goes wrong any more
        self.is_over = False  # nobody is answered any more
        self.full_until_s = 0.0
        self.unsure_until_s = 0.0  # rows may not be reached, or not answer
        self.events: list[tuple[float, str, Any]] = []
        self.spent: set[object] = set()  # what happens once only, and has

    def note(self, who: str, event: object) -> None:
        """Write down an event of the history."""
        self.events.append((self.loop.time(), who, event))

    def delay_s(self) -> float:
        """Return how long something takes: mostly milliseconds, now and then much more."""
        luck = self.random.random()
        if luck < 0.9:
            return 0.001 + 0.01 * luck
        return (0.05 if luck < 0.99 else 0.4) * self.random.random()

    def clock(self, life: Life) -> datetime:
        """Return what the clock of a process says."""
        return BEGINNING + timedelta(seconds=self.loop.time() + life.skew_s)

    def kill(self, life: Life, *, known_after_s: float | None) -> None:
        """End a process between two of its steps; nothing of it runs again. The dead do not die."""
        if life.is_dead:
            return
        self.note(life.name, "is killed")
        life.is_dead = life.lane.is_stopped = True
        life.died_at_s = self.loop.time()
        life.known_dead_at_s = None if known_after_s is None else life.died_at_s + known_after_s

    def suspend(self, life: Life, for_s: float) -> None:
        """Let a process stand still for a while."""
        self.note(life.name, f"stands still for {for_s:.2f} s")
        life.lane.is_stopped = True
        self.loop.call_later(for_s, self.resume, life, context=Context())

    def resume(self, life: Life) -> None:
        """Let a process go on that stood still."""
        life.lane.is_stopped = life.is_dead

    def leave(self, life: Life) -> None:
        """Let a process that has stopped be gone, and take along what it staged."""
        self.kill(life, known_after_s=0.0)
        self.sweep()

    def sweep(self) -> None:
        """Remove what dead processes left staged."""
        for life in self.lives.values():
            if life.is_dead:
                for path in life.staged:
                    path.unlink(missing_ok=True)
                life.staged.clear()

    def is_known_dead(self, name: str) -> bool:
        """Whether by now everybody can know that a process is dead."""
        known_at_s = self.lives[name].known_dead_at_s
        return known_at_s is not None and known_at_s <= self.loop.time()


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a memory store to its end; it never waits."""
    try:
        work.send(None)
    except StopIteration as stopped:
        result: T = stopped.value
        return result
    work.close()
    raise AssertionError("A memory store waits for something.")
