"""The statement that claims: what it costs SQLite, and what PostgreSQL would be sent."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from longscroll.storage.database import Database
from longscroll.storage.queue import CLAIM
from longscroll.storage.schema import files


async def test_a_claim_reads_no_table_from_end_to_end(database: Database) -> None:
    statement = str(CLAIM.compile(dialect=sqlite.dialect()))
    values = (0,) * statement.count("?")
    with database.backend.writing() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).scalars("detail").all()
    assert {step for step in plan if step.startswith("SCAN")} == {"SCAN waiting"}
    assert any("USING INDEX files_waiting_by_workspace" in step for step in plan)
    assert any("USING INDEX files_leased" in step for step in plan)


def test_claims_do_not_wait_for_each_other_on_a_database_with_many_writers() -> None:
    statement = str(CLAIM.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert statement.startswith("WITH RECURSIVE waiting(workspace) AS")
    assert "LIMIT %(param_3)s::INTEGER FOR UPDATE SKIP LOCKED) RETURNING files.workspace, files.id" in statement


def test_the_indexes_can_be_made_on_a_database_with_many_writers() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = {str(sa.schema.CreateIndex(index).compile(dialect=dialect)) for index in files.indexes}
    assert made == {
        "CREATE UNIQUE INDEX files_by_sequence ON files (workspace, sequence)",
        "CREATE INDEX files_waiting_by_workspace ON files (workspace, size_bytes, sequence) WHERE status = 'uploaded'",
        "CREATE INDEX files_leased ON files (workspace) WHERE lease_owner IS NOT NULL",
    }
