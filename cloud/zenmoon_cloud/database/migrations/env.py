"""Alembic's entry point: one transaction for all pending migrations, run as the owner of the tables."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
