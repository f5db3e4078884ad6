"""The rows of workspaces in SQL: a workspace begins with its first key or file."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from longscroll.storage.schema import workspaces

IS_KNOWN = sa.select(workspaces.c.id).where(workspaces.c.id == sa.bindparam("w"))


def ensure_workspace(connection: sa.Connection, workspace: str, *, created_at: datetime) -> None:
    """Insert the workspace where it is new, in the transaction of the row that needs it."""
    if connection.execute(IS_KNOWN, {"w": workspace}).first() is None:
        connection.execute(sa.insert(workspaces), {"id": workspace, "created_at": created_at})
