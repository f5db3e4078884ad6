"""The steps from one version's tables to the next, run by alembic.

Owns how the steps in ``migrations`` are found and run. Loading it takes a quarter of a second, so ``migrate`` loads it
when there is a step to run.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from longscroll.storage import migrations


def all_steps() -> list[str]:
    """Return every step there is, the first one first."""
    return [step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]


def run_steps(connection: sa.Connection) -> None:
    """Run the steps that the database has not seen."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config
