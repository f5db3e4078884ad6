"""How a process of the service begins: tied to its parent before it loads anything that takes long.

Run as ``python -m longscroll.documents.spawned PARENT MODULE ARGUMENT…``; it becomes the ``main`` of that module. Knows
nothing of what the module does.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from longscroll.documents.contain import die_with_parent


def command(module: str) -> tuple[str, ...]:
    """Return the command that runs ``module`` as a child of this process; the module's arguments follow."""
    # -P: nothing is imported from the folder that the service was started in
    return sys.executable, "-P", "-m", "longscroll.documents.spawned", str(os.getpid()), module


def main(arguments: list[str]) -> None:
    """Become the module that is named, for as long as the parent lives."""
    parent, module, *rest = arguments
    die_with_parent(int(parent))
    import_module(module).main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
