"""A ``longscroll`` command as a process: started, ready, told to end, killed.

Owns how it is started and how it is known to answer; what a developer has set for another service does not reach it.
Knows no request.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

READY = "Longscroll is ready at "
COMMAND = ("-m", "longscroll")


class NotReady(AssertionError):
    """A process ended before it said that it is ready; the message ends in what it logged."""


class Process:
    """A command that runs until it is told to end. Use as a context manager; ``stop`` and ``kill`` may come before."""

    def __init__(
        self,
        data_dir: Path,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start it on ``data_dir``, logging beside it; ``program`` is how the interpreter is told what to run."""
        self.data_dir = data_dir
        self.log_path = data_dir.parent / f"{data_dir.name}.{command[0]}.log"
        arguments = [sys.executable, *program, *command, "--data-dir", str(data_dir)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LONGSCROLL_")}
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own program
                arguments, stdout=subprocess.PIPE, stderr=log, env={**inherited, **(environment or {})}
            )

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

    def said(self) -> str:
        """Return the log of this start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()


class ServiceProcess(Process):
    """``longscroll serve`` on a free port."""

    def __init__(
        self,
        data_dir: Path,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = COMMAND,
    ) -> None:
        """Start a service on ``data_dir`` and wait until it says that it answers; see ``Process``.

        Raises:
            NotReady: it ended instead.
        """
        super().__init__(data_dir, ["serve", "--port", "0", *arguments], environment=environment, program=program)
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith(READY):
            self.wait(10)
            raise NotReady(f"no ready line but {line!r}; log:\n{self.said()}")
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
