"""The real command line in a process that is killed at a moment of its own: `crashing_service.py MOMENT N COMMAND…`.

The N-th time that the process reaches the moment it ends by SIGKILL, there and then: no handler runs, nothing is
flushed. Everything else is the command as installed.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from longscroll.cli import main
from longscroll.telemetry import Moment, observe_moments


def die_at(fatal: Moment, n_th: int) -> None:
    """Kill this process when it reaches a moment for the n-th time; any of its threads may be the one."""
    times = count(1)  # its next() is one step of the interpreter: threads that come together count apart

    def observe(moment: Moment) -> None:
        if moment is fatal and next(times) == n_th:
            os.kill(os.getpid(), signal.SIGKILL)

    observe_moments(observe)


if __name__ == "__main__":
    die_at(Moment(sys.argv[1]), int(sys.argv[2]))
    sys.argv = ["longscroll", *sys.argv[3:]]
    main()
