"""What each request used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("workspace", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("model_served", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("is_streamed", sa.Boolean, nullable=False),
        sa.Column("n_input", sa.BigInteger, nullable=False),
        sa.Column("n_output", sa.BigInteger, nullable=False),
        sa.Column("n_cached", sa.BigInteger, nullable=False),
        sa.Column("n_read", sa.BigInteger, nullable=False),
        sa.Column("is_estimated", sa.Boolean, nullable=False),
        sa.Column("file_ids", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("first_token_ms", sa.Double),
        sa.Column("total_ms", sa.Double, nullable=False),
    )
    op.create_index("usage_by_time", "usage", ["workspace", "at"])
