"""How a process of the service begins, tied to its parent before it loads anything that takes long, and begins again.

Run as ``python -m longscroll.documents.spawned PARENT MODULE ARGUMENT…``; it becomes the ``main`` of that module. Knows
nothing of what the module does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import NoReturn

from longscroll.documents.contain import die_with_parent

N_EARLY_DEATHS = 2
"""So many that ended before they were ready, in a row, mean that there will be none soon; one may be chance."""
MAX_PAUSE_S = 30.0


def command(module: str) -> tuple[str, ...]:
    """Return the command that runs ``module`` as a child of this process; the module's arguments follow."""
    # -P: nothing is imported from the folder that the service was started in
    return sys.executable, "-P", "-m", "longscroll.documents.spawned", str(os.getpid()), module


async def keep_running(
    live: Callable[[], Awaitable[bool]], rest: Callable[[int, float], Awaitable[None]], *, pause_s: float
) -> NoReturn:
    """Begin a process again whenever it has ended: at once, but later and later where it never gets ready.

    Args:
        live: runs it from its start to its end; returns whether it got ready.
        rest: waits before the next, told how many died early in a row and how many seconds to wait.
        pause_s: the first wait; doubles up to ``MAX_PAUSE_S``.
    """
    n_early_deaths, next_pause_s = 0, pause_s
    while True:
        if await live():
            n_early_deaths, next_pause_s = 0, pause_s
            continue
        n_early_deaths += 1
        if n_early_deaths >= N_EARLY_DEATHS:
            await rest(n_early_deaths, next_pause_s)
            next_pause_s = min(2 * next_pause_s, MAX_PAUSE_S)


def main(arguments: list[str]) -> None:
    """Become the module that is named, for as long as the parent lives."""
    parent, module, *rest = arguments
    die_with_parent(int(parent))
    import_module(module).main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
