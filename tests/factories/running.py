"""A real service as a process: what tests of the whole start, question, signal and kill."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from factories.families import Family
from longscroll.telemetry import Moment
from longscroll.testing import process
from longscroll.testing.process import COMMAND, Process, ServiceProcess

TAKING = "Longscroll takes files from "
READY_WITHIN_S = 30.0


def crashing_at(moment: Moment, n_th: int) -> tuple[str, ...]:
    """Return how the interpreter is told to run the command that dies the n-th time it reaches a moment."""
    program = Path(__file__).with_name("crashing_service.py")
    return "-P", str(program), moment.value, str(n_th)  # -P: the modules beside the program are not Python's own


class NotReady(process.NotReady):
    """A process ended before it said that it is ready."""

    def __init__(self, family: Family, said: str) -> None:
        """Keep whose process it was."""
        super().__init__(said)
        self.family = family


class Running(Process):
    """A command that runs until it is told to end, and can be told from those of other tests."""

    def __init__(
        self,
        data_dir: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start it on ``data_dir``; see ``Process``."""
        self.family = Family.fresh()
        super().__init__(
            data_dir, command, environment={**(environment or {}), **self.family.environment}, program=program
        )
        self.family.pid = self.process.pid


class RunningService(ServiceProcess, Running):
    """``longscroll serve`` on a free port."""

    def __init__(
        self,
        data_dir: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start a service on ``data_dir`` and wait until it says that it answers; see ``ServiceProcess``."""
        try:
            super().__init__(data_dir, arguments=arguments, environment=environment, program=program)
        except process.NotReady as dead:
            raise NotReady(self.family, str(dead)) from dead


class RunningWorker(Running):
    """``longscroll worker``."""

    def __init__(self, data_dir: Path, *, program: Sequence[str] = COMMAND) -> None:
        """Start a worker on ``data_dir`` and wait until it says that it takes files."""
        super().__init__(data_dir, ["worker"], program=program)
        end = time.monotonic() + READY_WITHIN_S
        while f"{TAKING}{data_dir}" not in self.said():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise NotReady(self.family, f"the worker does not take files; log:\n{self.log_path.read_text()}")
            time.sleep(0.01)
