"""A real service as a process: what tests of the whole start, question, signal and kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from factories.families import Family
from longscroll.telemetry import Moment

READY = "Longscroll is ready at "
TAKING = "Longscroll takes files from "
READY_WITHIN_S = 30.0
COMMAND = ("-m", "longscroll")


def crashing_at(moment: Moment, n_th: int) -> tuple[str, ...]:
    """Return how the interpreter is told to run the command that dies the n-th time it reaches a moment."""
    program = Path(__file__).with_name("crashing_service.py")
    return "-P", str(program), moment.value, str(n_th)  # -P: the modules beside the program are not Python's own


class NotReady(AssertionError):
    """A process ended before it said that it is ready."""

    def __init__(self, family: Family, said: str) -> None:
        """Keep whose process it was."""
        super().__init__(said)
        self.family = family


class Running:
    """A command that runs until it is told to end. Use as a context manager; ``stop`` and ``kill`` may come before."""

    def __init__(
        self,
        data_dir: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start it on ``data_dir``; ``program`` is how the interpreter is told what to run."""
        self.data_dir = data_dir
        self.family = Family.fresh()
        self.log_path = data_dir.parent / f"{data_dir.name}.{command[0]}.log"
        arguments = [sys.executable, *program, *command, "--data-dir", str(data_dir)]
        variables = {**os.environ, **(environment or {}), **self.family.environment}
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, env=variables)
        self.family.pid = self.process.pid

    def stop(self, *, timeout_s: float = 40) -> int:
        """Ask it to end and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """Kill it without a word."""
        self.process.kill()
        self.wait(10)

    def wait(self, timeout_s: float) -> int:
        """Wait until it has ended and return its exit status, or the signal below zero."""
        status = self.process.wait(timeout_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()


class RunningService(Running):
    """``longscroll serve`` on a free port."""

    def __init__(
        self,
        data_dir: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start a service on ``data_dir`` and wait until it says that it answers; see ``Running``."""
        super().__init__(data_dir, ["serve", "--port", "0", *arguments], environment=environment, program=program)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith(READY):
            self.wait(10)
            raise NotReady(self.family, f"no ready line but {line!r}; log:\n{self.log_path.read_text()}")
        self.url = line.removeprefix(READY).strip()

    @property
    def key(self) -> str:
        """The key that the first start made."""
        return (self.data_dir / "api-key").read_text().strip()

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where raw sockets connect."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)


class RunningWorker(Running):
    """``longscroll worker``."""

    def __init__(self, data_dir: Path, *, program: Sequence[str] = COMMAND) -> None:
        """Start a worker on ``data_dir`` and wait until it says that it takes files."""
        super().__init__(data_dir, ["worker"], program=program)
        end = time.monotonic() + READY_WITHIN_S
        while f"{TAKING}{data_dir}" not in self._said():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise NotReady(self.family, f"the worker does not take files; log:\n{self.log_path.read_text()}")
            time.sleep(0.01)

    def _said(self) -> str:
        """Return the log of this start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode()
