"""Alembic's entry: migrates on the connection that `engine.migrate` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from marketarchive.master.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
    transactional_ddl=True,  # it does roll back DDL, once the driver leaves transactions to us
)
context.run_migrations()
