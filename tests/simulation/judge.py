"""What must be true of every history, looked at after each operation and at the end.

Owns what each file has gone through as the world saw it. Knows the stores' contents, not the code that fills them.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from msgspec import Struct

from longscroll.documents.ingest import Failed, Ready
from longscroll.errors import DocumentErrorKind
from longscroll.storage.base import ARTIFACT, BYTES, Claim, blob_prefix
from longscroll.types import File, FileStatus
from simulation.parsers import END_OF_ARTIFACT, MAX_ATTEMPTS
from simulation.plan import Nature, Plan
from simulation.world import Key, Life, Operation, World, at_once

DELETED_WITHIN_S = 3.5
"""Where nothing goes wrong: a look at the lease, what the stores take, and less than a lease."""

LET_GO_WITHIN_S = 3.0
"""After a deletion a parse goes on until the lease is looked at."""

SWEPT_WITHIN_S = 2.0
"""After the leases of the dead were ended."""

FINAL = (FileStatus.PROCESSED, FileStatus.ERROR)


class Violation(AssertionError):
    """Something that must never be."""

    def __init__(self, rule: str, details: object) -> None:
        super().__init__(f"{rule}: {details}")
        self.rule = rule


class Fate(Struct):
    """What has become of one file."""

    nature: Nature
    is_acknowledged: bool = False
    is_marked: bool = False  # as deleting
    marked_at_s: float = 0.0
    is_erased: bool = False  # its deletion was acknowledged
    fence: int = 0
    ended: FileStatus | None = None
    late_writers: set[str] = set()  # after that
    seen: list[tuple[float, FileStatus | None]] = []


class StrictJudge:
    """Raises ``Violation`` at the first thing that is wrong."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.fates: dict[Key, Fate] = {}
        self._world = world
        self._taken_over: dict[str, tuple[float, list[str]]] = {}  # when, and who was dead
        self._is_calm = plan.is_calm
        self._is_smooth = plan.is_smooth

    def look(self, life: Life, operation: Operation, result: Any) -> None:
        """Look at the file that an operation was about."""
        key, what = operation.key, operation.what
        self._look_at_what_the_dead_left(life, what, result)
        if what == "claim" and isinstance(result, Claim):
            key = result.file.workspace, result.file.id
            self._look_at_claim(life, self.fates[key], result)
        if key is None or key not in self.fates:
            return
        fate = self.fates[key]
        if what == "mark_deleting" and result is True:
            fate.is_marked, fate.marked_at_s = True, self._world.loop.time()
        if (
            what == "renew"
            and self._is_calm
            and fate.is_marked
            and self._world.loop.time() > fate.marked_at_s + LET_GO_WITHIN_S
        ):
            raise Violation("a deleted file is not let go", operation)
        if what == "publish" and result is True:
            self._look_at_publication(fate, operation)
        if what == "adopt" and fate.is_erased:
            fate.late_writers.add(life.name)
            if self._is_calm:
                raise Violation("something is written of a file whose deletion was acknowledged", operation)
        self._look_at_file(key, fate, what)

    def erased(self, key: Key, *, since_s: float) -> None:
        """Look at what is there of a file at the moment when its deletion is acknowledged."""
        self.fates[key].is_erased = True
        took_s = self._world.loop.time() - since_s
        if self._is_smooth and took_s > DELETED_WITHIN_S:
            raise Violation("a deletion takes too long", (key, took_s))
        if not self._is_calm:
            return
        names = [name for name in self._world.blobs.names() if name.startswith(blob_prefix(*key))]
        if names:
            raise Violation("blobs outlive an acknowledged deletion", names)
        for life in self._world.lives.values():
            if not life.is_dead or self._world.is_known_dead(life.name):
                left = [path for path in life.staged if path.is_file() and key[1].encode() in path.read_bytes()]
                if left:
                    raise Violation("staged bytes outlive an acknowledged deletion", (life.name, left))

    def watched(self, key: Key, since_s: float, event: Ready | Failed) -> None:
        """Look at the last event of a watcher."""
        expected = _status_of(event)
        before = [status for at_s, status in self.fates[key].seen if at_s < since_s]
        since = [status for at_s, status in self.fates[key].seen if at_s >= since_s]
        if expected not in [*before[-1:], *since]:
            raise Violation("a watcher ends with what never was", (key, event))

    def unfinished(self) -> list[Key]:
        """Return the files that can be seen and are not at their end."""
        rows = [(key, self._row(key)) for key in self.fates]
        return [key for key, row in rows if row is not None and row.status not in FINAL]

    def look_at_log(self, lines: Sequence[MutableMapping[str, Any]]) -> None:
        """Look at what the processes said: nothing but an outage takes them unawares."""
        allowed = () if self._is_calm else ("ConnectionError",)
        for line in lines:
            if line["event"] == "ingest.failed" and line["error"] not in allowed:
                raise Violation("ingestion fails", line)

    def look_at_rest(self) -> None:
        """Look at what must be gone though nobody begins anew: what a living process wrote, if too late."""
        if self._is_smooth:
            self._look_at_blobs()
        for key, fate in self.fates.items():
            is_cleaned = fate.is_erased and not any(self._world.lives[name].is_dead for name in fate.late_writers)
            left = [name for name in self._world.blobs.names() if name.startswith(blob_prefix(*key))]
            if is_cleaned and left:
                raise Violation("a late writer leaves blobs of a deleted file", left)

    def look_at_the_end(self) -> None:
        """Look at everything when all is at rest and the api has begun anew."""
        world = self._world
        for key, fate in self.fates.items():
            row = self._row(key)
            if row is None and fate.is_acknowledged and not fate.is_marked:
                raise Violation("an acknowledged upload is lost", key)
            if row is not None:
                self._look_at_end_of(key, fate, row)
        self._look_at_blobs()
        deleting, owners = at_once(world.files.being_deleted()), at_once(world.files.owners())
        if deleting or owners:
            raise Violation("rows are left", (deleting, owners))
        staged = [(life.name, path) for life in world.lives.values() for path in life.staged if path.is_file()]
        if staged:
            raise Violation("staged files are left", staged)

    def _look_at_blobs(self) -> None:
        expected = {name for key in self.fates for name in self._names_of(key)}
        if expected != set(self._world.blobs.names()):
            raise Violation("blobs are left, or missing", sorted(expected ^ set(self._world.blobs.names())))

    def _look_at_claim(self, life: Life, fate: Fate, claim: Claim) -> None:
        neighbors = [name for name, filename in self._world.parsing if filename == claim.file.filename]
        if self._is_calm and any(not self._world.lives[name].is_dead for name in neighbors):
            raise Violation("a file is claimed while a living process parses it", (life.name, neighbors, claim))
        if claim.fence <= fate.fence:
            raise Violation("a fence does not grow", claim)
        if claim.file.attempt > MAX_ATTEMPTS + 1:
            raise Violation("a file is tried too often", claim)
        fate.fence = claim.fence

    def _look_at_what_the_dead_left(self, life: Life, what: str, result: Any) -> None:
        """Whoever ends the leases of the dead removes what they had staged, soon."""
        now, world = self._world.loop.time(), self._world
        if what == "forfeit" and isinstance(result, int) and result:
            known = [name for name in world.lives if world.is_known_dead(name)]
            self._taken_over.setdefault(life.name, (now, known))
        at_s, known = self._taken_over.get(life.name, (now, []))
        if now > at_s + SWEPT_WITHIN_S:
            del self._taken_over[life.name]
            left = [path for name in known for path in world.lives[name].staged if path.is_file()]
            if left and self._is_calm:
                raise Violation("what the dead staged outlives their leases", (life.name, known))

    def _look_at_publication(self, fate: Fate, operation: Operation) -> None:
        if operation.claim is None or operation.claim.fence != fate.fence:
            raise Violation("a stale claim publishes", operation)
        if fate.ended is not None:
            raise Violation("a file is published twice", operation)

    def _look_at_file(self, key: Key, fate: Fate, what: str) -> None:
        row = self._row(key)
        status = row.status if row is not None else None
        if not fate.seen or fate.seen[-1][1] != status:
            fate.seen.append((self._world.loop.time(), status))
        if row is None:
            return
        if fate.is_marked:
            raise Violation("a deleted file is visible again", row)
        if status not in FINAL:
            if fate.ended is not None and what != "requeue":
                raise Violation("a final state is not final", row)
            fate.ended = None
            return
        if fate.ended is None and what != "publish":
            raise Violation("a file ends without being published", (what, row))
        if fate.ended not in (None, status):
            raise Violation("a final state changes", row)
        fate.ended = status
        if status == FileStatus.PROCESSED:
            self._look_at_artifact(key, fate)

    def _look_at_artifact(self, key: Key, fate: Fate) -> None:
        content = self._world.blobs.content(blob_prefix(*key) + ARTIFACT)
        if content is None or not content.endswith(END_OF_ARTIFACT) or key[1].encode() not in content:
            raise Violation("a processed file has no whole artifact", (key, content))

    def _look_at_end_of(self, key: Key, fate: Fate, row: File) -> None:
        expected: dict[Nature, tuple[FileStatus, DocumentErrorKind | None]] = {
            "good": (FileStatus.PROCESSED, None),
            "stubborn": (FileStatus.PROCESSED, None),
            "broken": (FileStatus.ERROR, DocumentErrorKind.ENCRYPTED),
            "poisonous": (FileStatus.ERROR, DocumentErrorKind.CORRUPT),
        }
        if (row.status, row.error_kind) != expected[fate.nature]:
            raise Violation("a file comes to a wrong end", (fate.nature, row))
        if row.progress is not None:
            raise Violation("a file at its end has progress", row)

    def _names_of(self, key: Key) -> list[str]:
        """Return the names that there must be of a file."""
        row = self._row(key)
        if row is None:
            return []
        parts = [ARTIFACT, BYTES] if row.status == FileStatus.PROCESSED else [BYTES]
        return [blob_prefix(*key) + part for part in parts]

    def _row(self, key: Key) -> File | None:
        return at_once(self._world.files.get(*key))


def _status_of(event: Ready | Failed) -> FileStatus | None:
    if isinstance(event, Ready):
        return FileStatus.PROCESSED
    return FileStatus.ERROR if event.kind is not None else None
