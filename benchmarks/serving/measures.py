"""CPU and memory of other processes, and the lines that a benchmark prints. Knows no server."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from msgspec import Struct


def cpu_ns(pid: int) -> int:
    """Return the CPU that a process and its living children have used, in nanoseconds, ended threads included."""
    processes = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return sum(process_cpu_ns(one) for one in processes)


def process_cpu_ns(pid: int) -> int:
    """Return the CPU of one process, by its own clock, whose number is made as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory."""
    return psutil.Process(pid).memory_info().rss


class PeakMemory:
    """The most that a process has had in memory since this was made."""

    def __init__(self, pid: int) -> None:
        """Forget the peak so far."""
        self._status = Path(f"/proc/{pid}/status")
        Path(f"/proc/{pid}/clear_refs").write_text("5")

    def bytes(self) -> int:
        """Return the peak."""
        [line] = [line for line in self._status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024


class Row(Struct, kw_only=True):
    """One promise: what was measured, in several rounds, and what it must hold."""

    what: str
    values: Sequence[float]
    floor: float
    unit: str = ""
    is_ceiling: bool = False  # True: no more than the floor, else no less

    @property
    def is_met(self) -> bool:
        """Whether the median holds it."""
        value = statistics.median(self.values)
        return value <= self.floor if self.is_ceiling else value >= self.floor

    def __str__(self) -> str:
        """Return the line of the table."""
        value, sign = statistics.median(self.values), "≤" if self.is_ceiling else "≥"
        spread = f"{value:.2f} ({min(self.values):.2f}-{max(self.values):.2f})"
        verdict = "met" if self.is_met else "MISSED"
        ratio = value / self.floor
        return f"| {self.what} | {spread} {self.unit} | {sign} {self.floor:g} {self.unit} | {ratio:.2f} | {verdict} |"


def print_rows(rows: Sequence[Row]) -> None:
    """Print promises as a table, with the medians and ranges of their rounds."""
    print("\n| what | median (range) | floor | value / floor | |\n|---|---|---|---|---|")
    for row in rows:
        print(row)


def print_machine() -> None:
    """Print where this ran."""
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Return the ratios of rounds that were run one after the other."""
    return [one / other for one, other in zip(over, under, strict=True)]
