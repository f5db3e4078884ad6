"""A real service as a process: what tests of the whole start, question, signal and kill."""

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


class RunningService:
    """``longscroll serve`` on a free port. Use as a context manager; ``stop`` and ``kill`` may come before its end."""

    def __init__(
        self, data_dir: Path, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a service on ``data_dir`` and wait until it says that it answers."""
        self.data_dir = data_dir
        command = [sys.executable, "-m", "longscroll", "serve", "--port", "0", "--data-dir", str(data_dir), *arguments]
        self.log_path = data_dir.parent / f"{data_dir.name}.log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **(environment or {})}
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line.startswith(READY):
            self.process.wait(10)
            raise AssertionError(f"no ready line but {line!r}; log:\n{self.log_path.read_text()}")
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

    def stop(self, *, timeout_s: float = 40) -> int:
        """Ask it to end and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait(timeout_s)

    def kill(self) -> None:
        """Kill it without a word."""
        self.process.kill()
        self._wait(10)

    def _wait(self, timeout_s: float) -> int:
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
