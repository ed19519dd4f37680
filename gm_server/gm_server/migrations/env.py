"""What Alembic runs: the migrations on the connection (and in the transaction) that it is given."""

from alembic import context

from gm_server.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
