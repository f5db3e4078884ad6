"""How long what has a deadline may take where the machine has more to do than it has cores."""

from __future__ import annotations

import os


def patience(seconds: float) -> float:
    """Return the seconds themselves on a machine that does little else, and in proportion more on a busy one."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
