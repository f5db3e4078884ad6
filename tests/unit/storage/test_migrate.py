from __future__ import annotations

import subprocess
import sys

from longscroll.storage.migrate import STEPS
from longscroll.storage.steps import all_steps


def test_the_steps_that_are_known_without_looking_are_those_of_the_folder() -> None:
    assert list(STEPS) == all_steps()


def test_the_service_loads_neither_migrations_nor_the_client_of_model_servers_before_it_needs_them() -> None:
    program = "import sys, longscroll.cli.serve; print({'alembic.context', 'aiohttp.client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
