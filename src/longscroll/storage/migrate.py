"""Bring a database to the tables of this version.

Owns when the steps in ``migrations`` run. Knows no driver: it works on a connection inside a transaction that its
caller opened, so a step that is cut off leaves the database as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from longscroll import late
from longscroll.errors import StartupError

if TYPE_CHECKING:
    from longscroll.storage import steps
else:
    steps = late("longscroll.storage.steps")  # alembic: a quarter of a second that most starts have no use for

STEPS = ("0001", "0002", "0003", "0004")
"""The steps of this version, in their order; a test holds them against the folder."""

_CURRENT = sa.text("SELECT version_num FROM alembic_version")


def migrate(connection: sa.Connection) -> None:
    """Run the steps that the database has not seen; a second call does nothing.

    Raises:
        StartupError: the database was written by a newer version.
    """
    has_steps = sa.inspect(connection).has_table("alembic_version")
    current = connection.execute(_CURRENT).scalar_one_or_none() if has_steps else None
    if current == STEPS[-1]:
        return
    if current is not None and current not in STEPS:
        raise StartupError(
            f"The database was written by a newer Longscroll (its tables are at step {current}); "
            "start that version, or choose another --data-dir."
        )
    steps.run_steps(connection)
