"""The tables, and how domain values are stored in their columns.

Owns names, types, keys and indexes as they are *now*; how an older database gets there is the migrations' business.
Columns bear the names of the fields of ``File``, ``Key`` and ``UsageRecord``; the workspace leads every key, so no row
can be reached by a file id alone. Knows no query and no driver.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from longscroll.errors import DocumentErrorKind
from longscroll.storage.batches import UNFINISHED, BatchFault, BatchStatus
from longscroll.types import FileStatus, Progress

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class UtcMicros(sa.types.TypeDecorator[datetime]):
    """An aware datetime as whole microseconds since 1970, which every database orders and compares alike."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> int | None:
        """Refuse a naive datetime: the subtraction raises TypeError."""
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, _dialect: sa.Dialect) -> datetime | None:
        """Return the datetime in UTC."""
        return None if value is None else EPOCH + value * MICROSECOND


class Words(sa.types.TypeDecorator[tuple[str, ...]]):
    """A tuple of short strings as a JSON array."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, _dialect: sa.Dialect) -> str | None:
        """Write compact JSON."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, _dialect: sa.Dialect) -> tuple[str, ...] | None:
        """Read what ``process_bind_param`` wrote."""
        return None if value is None else msgspec.json.decode(value, type=tuple[str, ...])


class Member(sa.types.TypeDecorator[StrEnum]):
    """A member of a string enumeration by its value; a value that the code does not know raises ValueError."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__()
        self.enumeration = enumeration

    def process_bind_param(self, value: StrEnum | None, _dialect: sa.Dialect) -> str | None:
        """Write the value."""
        return None if value is None else self.enumeration(value).value

    def process_result_value(self, value: str | None, _dialect: sa.Dialect) -> StrEnum | None:
        """Return the member."""
        return None if value is None else self.enumeration(value)


class HowFar(sa.types.TypeDecorator[Progress]):
    """A progress as a JSON object."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Progress | None, _dialect: sa.Dialect) -> str | None:
        """Write the JSON."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, _dialect: sa.Dialect) -> Progress | None:
        """Return the progress."""
        return None if value is None else msgspec.json.decode(value, type=Progress)


class JsonOf(sa.types.TypeDecorator[Any]):
    """A value of one type as JSON."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: object, _dialect: sa.Dialect) -> str | None:
        """Write compact JSON."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, _dialect: sa.Dialect) -> Any:
        """Return the value."""
        return None if value is None else msgspec.json.decode(value, type=self.kind)


metadata = sa.MetaData()
IS_WAITING = sa.text("status = 'uploaded'")
HAS_OWNER = sa.text("lease_owner IS NOT NULL")
IS_UNFINISHED = sa.text(f"status IN ({', '.join(repr(status.value) for status in UNFINISHED)})")

workspaces = sa.Table(
    "workspaces",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("created_at", UtcMicros, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("workspace", sa.Text, sa.ForeignKey("workspaces.id"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("display", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("scopes", Words, nullable=False),
    sa.Column("models", Words, nullable=False),
    sa.Column("created_at", UtcMicros, nullable=False),
    sa.Column("expires_at", UtcMicros),
    sa.Column("revoked_at", UtcMicros),
    # The one unique key without a workspace: a caller's workspace is found by this 256-bit digest.
    sa.Index("keys_by_digest", "digest", unique=True),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("workspace", sa.Text, sa.ForeignKey("workspaces.id"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("md5", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", UtcMicros, nullable=False),
    sa.Column("status", Member(FileStatus), nullable=False),
    sa.Column("status_details", sa.Text),
    sa.Column("error_kind", Member(DocumentErrorKind)),
    sa.Column("n_pages", sa.BigInteger),
    sa.Column("n_chars", sa.BigInteger),
    sa.Column("n_tokens", sa.BigInteger),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", UtcMicros),
    sa.Column("progress", HowFar),
    sa.Index("files_by_sequence", "workspace", "sequence", unique=True),
    sa.Index(
        "files_waiting_by_workspace",
        *("workspace", "size_bytes", "sequence"),
        sqlite_where=IS_WAITING,
        postgresql_where=IS_WAITING,
    ),
    # Without the end of the lease, so that a renewal changes no index.
    sa.Index("files_leased", "workspace", sqlite_where=HAS_OWNER, postgresql_where=HAS_OWNER),
)

# Without a foreign key: what was used stays known when a key or a workspace is gone.
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("at", UtcMicros, nullable=False),
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
    sa.Column("file_ids", Words, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("code", sa.Text),
    sa.Column("first_token_ms", sa.Double),
    sa.Column("total_ms", sa.Double, nullable=False),
    sa.Index("usage_by_time", "workspace", "at"),
)

# Where a removed file stood in its listing: a client that deletes while it pages goes on after an id that is gone.
removed_files = sa.Table(
    "removed_files",
    metadata,
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Index("removed_files_by_sequence", "sequence"),
)

# Not an autoincrement column: a row that is drawn and committed in one transaction makes the order of the sequence the
# order of the commits on every database, so no page can miss a file that was committed late.
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
FILE_SEQUENCE = "file_sequence"

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("workspace", sa.Text, sa.ForeignKey("workspaces.id"), primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("input_file_id", sa.Text, nullable=False),
    sa.Column("completion_window", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("metadata", JsonOf(dict[str, str]), nullable=False),
    sa.Column("status", Member(BatchStatus), nullable=False),
    sa.Column("created_at", UtcMicros, nullable=False),
    sa.Column("expires_at", UtcMicros, nullable=False),
    sa.Column("in_progress_at", UtcMicros),
    sa.Column("finalizing_at", UtcMicros),
    sa.Column("completed_at", UtcMicros),
    sa.Column("failed_at", UtcMicros),
    sa.Column("expired_at", UtcMicros),
    sa.Column("cancelling_at", UtcMicros),
    sa.Column("cancelled_at", UtcMicros),
    sa.Column("n_total", sa.BigInteger, nullable=False),
    sa.Column("n_completed", sa.BigInteger, nullable=False),
    sa.Column("n_failed", sa.BigInteger, nullable=False),
    sa.Column("output_file_id", sa.Text),
    sa.Column("error_file_id", sa.Text),
    sa.Column("errors", JsonOf(tuple[BatchFault, ...]), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("lease_owner", sa.Text),
    sa.Column("lease_until", UtcMicros),
    sa.Index("batches_by_sequence", "workspace", "sequence", unique=True),
    sa.Index("batches_unfinished", "sequence", sqlite_where=IS_UNFINISHED, postgresql_where=IS_UNFINISHED),
)
BATCH_SEQUENCE = "batch_sequence"

# What is answered of a batch that is under way; it moves into the files of the batch at its end.
batch_results = sa.Table(
    "batch_results",
    metadata,
    sa.Column("workspace", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("is_failed", sa.Boolean, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
)
