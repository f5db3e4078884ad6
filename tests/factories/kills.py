"""A service under a workload whose processes are killed, and what it takes to recover: the stage of every kill.

Owns the order: kill, look for orphans, restart, settle what broke off, wait for the last final state. What must be true
is ``history``'s and ``inspection``'s to say.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from factories.canaries import Search
from factories.families import command_of
from factories.history import Fate, Harm, History, Upload
from factories.http import Client
from factories.inspection import (
    GONE_WITHIN_S,
    ArtifactWatch,
    check_at_rest,
    look_at_states,
    look_for_deleted,
    settle_open_fates,
)
from factories.patience import patience
from factories.running import Running, RunningService, RunningWorker
from factories.workload import Act, Clients, keep_doing
from longscroll.testing.process import COMMAND

ORPHANS_WITHIN_S = 1.0
READ_WITHIN_S = 60.0
SWEEP_EVERY_S = 0.5
POLL_S = 0.02
WATCH_EVERY_S = 0.05
DEAD = (OSError, http.client.HTTPException)


class Stage:
    """One data folder with a service, if wanted a worker, and clients; a context manager that ends them all."""

    def __init__(self, data_dir: Path, *, seed: int = 0) -> None:
        """Nothing runs before ``start``."""
        self.data_dir = data_dir
        self.history = History()
        self.clients = Clients(self.history, seed)
        self.worker: RunningWorker | None = None
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="stage")
        self._running: list[Future[None]] = []

    def start(self, program: Sequence[str] = COMMAND) -> float:
        """Start the service, settle what broke off when it died; returns when it began.

        Raises:
            NotReady: it died before it was ready.
        """
        began = time.monotonic()
        service = RunningService(self.data_dir, program=program)
        with suppress(*DEAD):  # one that is to die may do so here
            settle_open_fates(Client(service), self.history)
        self.clients.service = service
        return began

    def start_worker(self, program: Sequence[str] = COMMAND) -> RunningWorker:
        """Start a worker on the same folder."""
        self.worker = RunningWorker(self.data_dir, program=program)
        return self.worker

    @property
    def service(self) -> RunningService:
        """The service of now."""
        assert self.clients.service is not None
        return self.clients.service

    def act(self, name: str, act: Act) -> None:
        """Have a client of its own do something over and over."""
        self._running.append(self._threads.submit(keep_doing, act, self.clients, name))

    def watch(self) -> None:
        """Look all the time: at every artifact, at the states of all files, for deleted bytes."""
        self._running += [self._threads.submit(self._keep_watching), self._threads.submit(self._keep_sweeping)]

    def bury(self, dead: Running) -> None:
        """Wait for the end of a killed service or worker, and a moment later for that of all it had started."""
        dead.wait(10)
        self.look_for_orphans(dead.family.members)

    def look_for_orphans(self, living: Callable[[], list[psutil.Process]]) -> None:
        """Write down who still lives when those who must die have had time to."""
        end = time.monotonic() + patience(ORPHANS_WITHIN_S)
        while (orphans := living()) and time.monotonic() < end:
            time.sleep(POLL_S)
        for orphan in orphans:
            self.history.harm(Harm.ORPHAN, f"{orphan.pid}: {' '.join(command_of(orphan))}")

    def until_final(self, uploads: list[Upload], *, within_s: float = READ_WITHIN_S) -> float:
        """Wait until every upload that is still wanted has come to its final state; returns when the last had."""
        end = time.monotonic() + patience(within_s)
        while waiting := [upload for upload in uploads if upload.fate is Fate.KEPT and not upload.final]:
            if time.monotonic() > end:
                self.history.harm(Harm.LATE, ", ".join(upload.filename for upload in waiting))
                break
            with suppress(*DEAD):
                look_at_states(Client(self.service), self.history)
            time.sleep(POLL_S)
        return time.monotonic()

    def rest(self) -> None:
        """Stop the clients, wait until nothing is under way, and look at everything once more."""
        self.stop_clients()
        settle_open_fates(Client(self.service), self.history)
        self.until_final(self.history.of(Fate.KEPT))
        time.sleep(patience(GONE_WITHIN_S))
        look_at_states(Client(self.service), self.history)
        ArtifactWatch(self.data_dir, self.history).look()
        check_at_rest(self.data_dir, self.history)

    def stop_clients(self) -> None:
        """Let the clients end what they do; what went wrong in their threads is raised here."""
        self.clients.stopped.set()
        for running in self._running:
            running.result()
        self._running.clear()
        self.clients.stopped.clear()

    def _keep_watching(self) -> None:
        artifacts = ArtifactWatch(self.data_dir, self.history)
        while not self.clients.stopped.wait(WATCH_EVERY_S):
            artifacts.look()
            service = self.clients.service
            if service is not None:
                with suppress(*DEAD):
                    look_at_states(Client(service), self.history)

    def _keep_sweeping(self) -> None:
        search = Search(self.data_dir)
        while not self.clients.stopped.wait(SWEEP_EVERY_S):
            look_for_deleted(self.data_dir, search, self.history)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clients.stopped.set()
        for running in (self.clients.service, self.worker):
            if running is not None and running.process.poll() is None:
                running.kill()
        self._threads.shutdown()
