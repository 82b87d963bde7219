"""How alembic runs a migration: on the connection that it was given, inside the transaction that it is in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
