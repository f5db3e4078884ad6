"""What is done to a simulated service: clients' wishes and faults, each at its time, drawn from a seed.

A plan is data, so that a failing one can be printed, cut down and played again. Knows no loop and no store.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from msgspec import Struct

Nature = Literal["good", "broken", "poisonous", "stubborn"]
"""Of a file: it parses, it is no document, its parser always dies, or one parse of it never ends."""

ACTIVE_S = 10.0
"""In which everything of a plan begins; then the faults end and the service must come to rest."""


class Upload(Struct, frozen=True, tag=True):
    """A client uploads file ``number``."""

    at_s: float
    number: int
    workspace: str
    nature: Nature
    n_pages: int
    page_s: float  # what a page takes at most


class Delete(Struct, frozen=True, tag=True):
    """A client deletes a file."""

    at_s: float
    number: int


class Requeue(Struct, frozen=True, tag=True):
    """Somebody wants a file to be parsed again."""

    at_s: float
    number: int


class Watch(Struct, frozen=True, tag=True):
    """A client of the process in ``slot`` follows a file."""

    at_s: float
    number: int
    slot: int


class Kill(Struct, frozen=True, tag=True):
    """A process ends, at once or beside what it is about to change, and another takes its place."""

    at_s: float
    slot: int
    point: Literal["now", "before", "after"]
    beside: str  # the kind of change; empty: any
    n_changes: int  # of the kind, that it makes until then
    known_after_s: float | None  # None: nobody ever knows; its lease must do
    back_after_s: float


class Stop(Struct, frozen=True, tag=True):
    """A process is told to stop, does so, and another takes its place."""

    at_s: float
    slot: int
    back_after_s: float


class Suspend(Struct, frozen=True, tag=True):
    """A process stands still before one of its changes, then goes on as if no time had passed."""

    at_s: float
    slot: int
    before: str  # the kind of change; empty: any
    n_changes: int  # of the kind, that it makes until then
    for_s: float


class Partition(Struct, frozen=True, tag=True):
    """A process goes on, but what it asks of the stores comes through late."""

    at_s: float
    slot: int
    for_s: float


class Jump(Struct, frozen=True, tag=True):
    """The clock of a process is set."""

    at_s: float
    slot: int
    by_s: float


class HangUp(Struct, frozen=True, tag=True):
    """All clients of a process are gone before they hear anything."""

    at_s: float
    slot: int


class DiskFull(Struct, frozen=True, tag=True):
    """No space is left for a while."""

    at_s: float
    for_s: float


class Outage(Struct, frozen=True, tag=True):
    """For a while the rows cannot be reached now and then, or the answer is lost."""

    at_s: float
    for_s: float


Fault = Kill | Stop | Suspend | Partition | Jump | HangUp | DiskFull | Outage
Event = Upload | Delete | Requeue | Watch | Fault


class Plan(Struct, frozen=True):
    """A history before it happens. Slot 0 is the api, the others are workers."""

    seed: int
    n_children: int
    skews_s: tuple[float, ...]  # by slot: how far each clock is off
    events: tuple[Event, ...]

    @property
    def is_calm(self) -> bool:
        """Whether nobody can lose a lease while alive: then a deletion is final to the letter."""
        return not any(isinstance(event, Suspend | Partition | Jump | Outage) for event in self.events)

    @property
    def is_smooth(self) -> bool:
        """Whether nothing goes wrong at all: then a deletion is done at once."""
        is_faulty = any(isinstance(event, Kill | DiskFull) for event in self.events)
        is_stuck = any(isinstance(event, Upload) and event.nature == "stubborn" for event in self.events)
        return self.is_calm and not is_faulty and not is_stuck


def draw_plan(seed: int) -> Plan:
    """Return the plan of a seed."""
    random = Random(seed)
    n_slots = random.randint(2, 4)
    uploads = _uploads(random)
    wishes = [_wish(random, upload, n_slots) for upload in uploads for _ in range(random.choice((0, 1, 1, 2)))]
    kinds, n_faults = random.choice((_CALM, _CALM, _WILD, _WILD)), random.choice((0, 1, 2, 2, 3, 4))
    faults = [_fault(random, random.choice(kinds), random.randrange(n_slots)) for _ in range(n_faults)]
    wishes += [
        Delete(fault.at_s + random.uniform(0.2, 3), upload.number)  # what is written of it then is written late
        for fault in faults
        if isinstance(fault, Suspend)
        for upload in random.sample(uploads, len(uploads) // 2 + 1)
    ]
    return Plan(
        seed=seed,
        n_children=random.randint(1, 2),
        skews_s=tuple(random.uniform(-0.3, 0.3) for _ in range(n_slots)),
        events=tuple(sorted([*uploads, *wishes, *faults], key=lambda event: event.at_s)),
    )


_NATURES: tuple[Nature, ...] = ("good", "broken", "stubborn", "poisonous")


def _uploads(random: Random) -> list[Upload]:
    poison = 2 if random.random() < 0.1 else 0  # these take a while
    bursts = [random.uniform(0, ACTIVE_S * 0.6) for _ in range(random.randint(1, 3))]
    n_workspaces = random.randint(1, 2)
    return [
        Upload(
            at_s=random.choice(bursts) + random.uniform(0, 0.3),
            number=number,
            workspace=f"ws{random.randrange(n_workspaces)}",
            nature=random.choices(_NATURES, weights=(16, 3, 1, poison))[0],
            n_pages=random.choice((1, 2, 3, 3, 8)),
            page_s=random.choice((0.1, 0.3, 1.0, 2.0)),
        )
        for number in range(random.randint(1, 6))
    ]


def _wish(random: Random, upload: Upload, n_slots: int) -> Event:
    at_s = min(upload.at_s + random.expovariate(0.6), ACTIVE_S)
    match random.randrange(4):
        case 0 | 1:
            return Delete(at_s, upload.number)
        case 2:
            return Watch(at_s, upload.number, random.randrange(n_slots))
        case _:
            return Requeue(at_s, upload.number)


_CALM: tuple[type[Fault], ...] = (Kill, Kill, Kill, Stop, HangUp, DiskFull)
_WILD: tuple[type[Fault], ...] = (Kill, Kill, Stop, Suspend, Suspend, Partition, Jump, HangUp, DiskFull, Outage)


def _fault(random: Random, kind: type[Fault], slot: int) -> Fault:
    at_s = random.uniform(0, ACTIVE_S)
    for_s = random.uniform(0.2, 9.0)
    change = random.choice(("", "", "adopt", "publish"))
    n_changes = random.randrange(2 if change else 6)
    if kind is Kill:
        point: Literal["now", "before", "after"] = random.choice(("now", "before", "after"))
        known_after_s = random.choice((0.0, random.uniform(0, 2), None))
        return Kill(at_s, slot, point, change, n_changes, known_after_s, random.uniform(0.1, 6.0))
    if kind is Stop:
        return Stop(at_s, slot, random.uniform(0.1, 3.0))
    if kind is HangUp:
        return HangUp(at_s, slot)
    if kind is Jump:
        return Jump(at_s, slot, random.uniform(-20, 20))
    if kind is DiskFull:
        return DiskFull(at_s, for_s / 3)
    if kind is Outage:
        return Outage(at_s, for_s / 3)
    return Partition(at_s, slot, for_s) if kind is Partition else Suspend(at_s, slot, change, n_changes, for_s)
