"""What a second signal means to every command that runs until it is told to end: now, whatever hangs.

Knows no service and no worker. The data folder is sound at every moment, and every child process dies with its parent.
"""

from __future__ import annotations

import signal

FORCED_WITHIN_S = 0.7
"""How long a process that was told twice may still tidy up."""


def end_soon() -> None:
    """Have the kernel end this process in a moment, should it not end by itself before."""
    signal.setitimer(signal.ITIMER_REAL, FORCED_WITHIN_S)
