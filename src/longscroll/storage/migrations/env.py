"""What alembic runs for every command: the steps, on the connection that the caller already opened a transaction on.

Knows no address of a database and no configuration file.
"""

from __future__ import annotations

from alembic import context

from longscroll.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
