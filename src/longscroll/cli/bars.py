"""The bars of files that are being parsed: how much is done, how fast, how long the rest will take.

Knows neither where the numbers come from nor what a command does with the files. Nothing is drawn unless standard error
is a terminal.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from longscroll.types import Progress

_MEGABYTE = 1_000_000


def parse_bars(*, transient: bool = False) -> Bars:
    """Return a context in which bars are drawn; ``transient`` ones are wiped at its end. A bar has a ``state``."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"))
    console = Console(stderr=True)
    return Bars(*columns, console=console, transient=transient, disable=not console.is_terminal)


def show(bars: Bars, task: TaskID, progress: Progress) -> None:
    """Draw how far a parse is."""
    bars.update(task, completed=progress.n_done, total=progress.n_total, state=state(progress))


def state(progress: Progress) -> str:
    """Return the words beside a bar, such as ``120 of 2415 pages, 310 a second, 8 s left``."""
    if progress.stage == "queued":
        return "waiting for a parser"
    if progress.n_total is None:
        return "parsing"
    name, scale, digits = ("MB", _MEGABYTE, 1) if progress.unit == "bytes" else (progress.unit, 1, 0)
    words = [f"{progress.n_done / scale:.{digits}f} of {progress.n_total / scale:.{digits}f} {name}"]
    if progress.per_s is not None:
        words.append(f"{progress.per_s / scale:.{digits}f} a second")
    if progress.left_s is not None:
        words.append(f"{_duration(progress.left_s)} left")
    return ", ".join(words)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
