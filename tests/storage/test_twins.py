"""The memory twin and the database, side by side through random histories: every answer must be the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from factories.storage import NOON, make_file
from longscroll.storage.base import Claim, FileFilter, FileStore, Outcome
from longscroll.storage.database import Database
from longscroll.storage.memory import MemoryFiles
from longscroll.types import FileStatus, Progress

T = TypeVar("T")

WORKSPACES = st.sampled_from(["acme", "umbrella"])
OWNERS = st.sampled_from(["parser-1", "parser-2"])


class Twins(RuleBasedStateMachine):
    """Ids, claims and the clock are shared; each step asks both stores and compares."""

    ids = Bundle("ids")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.folder.name) / "longscroll.db")
        self.runner.run(self.database.open())
        self.memory = MemoryFiles()
        self.now = NOON

    def teardown(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()
        self.folder.cleanup()

    def both(self, ask: Callable[[FileStore], Awaitable[T]]) -> T:
        async def asked() -> tuple[T, T]:
            return await ask(self.memory), await ask(self.database.files)

        in_memory, in_database = self.runner.run(asked())
        assert in_memory == in_database
        return in_memory

    @rule(target=ids, workspace=WORKSPACES, size=st.integers(0, 3), purpose=st.sampled_from(["file-extract", "batch"]))
    def add(self, workspace: str, size: int, purpose: str) -> tuple[str, str]:
        file = make_file(workspace=workspace, size_bytes=size, purpose=purpose, created_at=self.now)
        self.both(lambda files: files.add(file))
        return workspace, file.id

    @rule(seconds=st.sampled_from([-7.0, 0.5, 10.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(target=claims, owner=OWNERS)
    def claim(self, owner: str) -> Claim | None:
        return self.both(lambda files: files.claim(owner, now=self.now, lease_s=30))

    @rule(claim=claims, n_done=st.sampled_from([None, 0, 7]))
    def renew(self, claim: Claim | None, n_done: int | None) -> None:
        progress = None if n_done is None else Progress(stage="parsing", n_done=n_done, per_s=n_done / 3)
        if claim is not None:
            self.both(lambda files: files.renew(claim, now=self.now, lease_s=30, progress=progress))

    @rule(claim=claims, status=st.sampled_from([FileStatus.PROCESSED, FileStatus.ERROR]))
    def publish(self, claim: Claim | None, status: FileStatus) -> None:
        if claim is not None:
            self.both(lambda files: files.publish(claim, Outcome(status=status, n_chars=5)))

    @rule(claim=claims)
    def release(self, claim: Claim | None) -> None:
        if claim is not None:
            self.both(lambda files: files.release(claim))

    @rule(owner=OWNERS)
    def forfeit(self, owner: str) -> None:
        self.both(lambda files: files.forfeit({owner}))

    @rule(place=ids)
    def requeue(self, place: tuple[str, str]) -> None:
        self.both(lambda files: files.requeue(*place))

    @rule(place=ids)
    def is_claimed(self, place: tuple[str, str]) -> None:
        self.both(lambda files: files.is_claimed(*place, now=self.now))

    @rule(place=ids)
    def mark_deleting(self, place: tuple[str, str]) -> None:
        self.both(lambda files: files.mark_deleting(*place))

    @rule(place=ids)
    def remove(self, place: tuple[str, str]) -> None:
        self.both(lambda files: files.remove(*place))

    @rule(place=ids, workspace=WORKSPACES, purpose=st.sampled_from([None, "batch"]), ascending=st.booleans())
    def page(self, place: tuple[str, str], workspace: str, purpose: str | None, ascending: bool) -> None:
        which = FileFilter(purpose=purpose, created_after=NOON - timedelta(seconds=3))
        self.both(lambda files: files.page(workspace, which=which, after=place[1], limit=2, ascending=ascending))

    @invariant()
    def both_show_the_same(self) -> None:
        for workspace in ("acme", "umbrella"):
            self.compare(workspace)
        self.both(lambda files: files.being_deleted())
        self.both(lambda files: files.owners())

    def compare(self, workspace: str) -> None:
        self.both(lambda files: files.numbered_page(workspace, number=1, size=50))
        self.both(lambda files: files.totals(workspace))


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=15, stateful_step_count=40, deadline=None, derandomize=True)
