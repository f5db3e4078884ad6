"""Which waiting file is claimed next, as one statement.

Owns the order: the workspace with the fewest files under a lease, within it the smallest file, then the earliest; who
has its share of a workspace passes it over. Its cost grows with the workspaces that have files waiting, not with the
files. Knows no connection; ``sql_files`` runs it.
"""

from __future__ import annotations

import sqlalchemy as sa

from longscroll.storage.schema import files
from longscroll.types import File

NOW = sa.bindparam("now", type_=files.c.lease_until.type)


def _is_free(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.status == sa.literal_column("'uploaded'"),  # spelled out, so that the partial index serves it
        sa.or_(table.c.lease_until.is_(None), table.c.lease_until <= NOW),
    )


def _waiting_workspaces() -> sa.CTE:
    """Return the workspaces that have a free file, and one NULL: each is found from the one before by one seek."""
    file = files.alias("waiting_file")
    first = sa.select(sa.func.min(file.c.workspace).label("workspace")).where(_is_free(file))
    waiting = first.cte("waiting", recursive=True)
    following = sa.select(sa.func.min(file.c.workspace)).where(_is_free(file), file.c.workspace > waiting.c.workspace)
    return waiting.union_all(
        sa.select(following.correlate(waiting).scalar_subquery()).where(waiting.c.workspace.is_not(None))
    )


def _next_workspace() -> sa.ScalarSelect[str]:
    waiting = _waiting_workspaces()
    leased, head = files.alias("leased"), files.alias("head")
    n_leased = sa.select(sa.func.count()).where(
        leased.c.workspace == waiting.c.workspace, leased.c.lease_owner.is_not(None), leased.c.lease_until > NOW
    )
    n_held = n_leased.where(leased.c.lease_owner == sa.bindparam("owner"))
    heads = sa.select(head.c.size_bytes).where(head.c.workspace == waiting.c.workspace, _is_free(head))
    smallest = heads.order_by(head.c.size_bytes, head.c.sequence).limit(1)
    earliest = smallest.with_only_columns(head.c.sequence)
    ranks = [rank.correlate(waiting).scalar_subquery() for rank in (n_leased, smallest, earliest)]
    has_room = n_held.correlate(waiting).scalar_subquery() < sa.bindparam("share", type_=sa.Integer)
    chosen = sa.select(waiting.c.workspace).where(waiting.c.workspace.is_not(None), has_room).order_by(*ranks).limit(1)
    return chosen.scalar_subquery()


NEXT_WAITING = (
    sa.select(files.c.workspace, files.c.id)
    .where(files.c.workspace == _next_workspace(), _is_free(files))
    .order_by(files.c.size_bytes, files.c.sequence)
    .limit(1)
    .with_for_update(skip_locked=True)
)
CLAIM = (
    sa.update(files)
    .where(sa.tuple_(files.c.workspace, files.c.id).in_(NEXT_WAITING))
    .values(
        lease_owner=sa.bindparam("owner"),
        lease_until=sa.bindparam("until"),
        fence=files.c.fence + 1,
        attempt=files.c.attempt + 1,
        progress=None,
    )
    .returning(*(files.c[name] for name in File.__struct_fields__), files.c.fence)
)
"""Needs ``owner``, ``until``, ``now`` and ``share``. None is claimed when none waits that may be, or neighbors do."""
