"""Bring a database to the tables of this version.

Owns when and how the steps in ``migrations`` run. Knows no driver: it works on a connection inside a transaction that
its caller opened, so a step that is cut off leaves the database as it was.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from longscroll.errors import StartupError
from longscroll.storage import migrations


def migrate(connection: sa.Connection) -> None:
    """Run the steps that the database has not seen; a second call does nothing.

    Raises:
        StartupError: the database was written by a newer version.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    steps = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == steps.get_current_head():
        return
    if current is not None and current not in {step.revision for step in steps.walk_revisions()}:
        raise StartupError(
            f"The database was written by a newer Longscroll (its tables are at step {current}); "
            "start that version, or choose another --data-dir."
        )
    command.upgrade(config, "head")
