"""How far a parse is, and the indexes by which a claim finds the next file of the workspace with the fewest leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("files", sa.Column("progress", sa.Text))
    waiting, leased = sa.text("status = 'uploaded'"), sa.text("lease_owner IS NOT NULL")
    op.create_index(
        "files_waiting_by_workspace",
        "files",
        ["workspace", "size_bytes", "sequence"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    op.create_index("files_leased", "files", ["workspace"], sqlite_where=leased, postgresql_where=leased)
    op.drop_index("files_waiting", "files")
