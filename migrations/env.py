"""Run migrations on the connection that `ringback db` hands over, or on one of our own for `alembic`."""

from alembic import context
from sqlalchemy import Connection

from scheduler.config import read_settings
from scheduler.store import tables
from scheduler.store.database import Database


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=tables.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        include_name=lambda name, kind, parents: kind != "table" or name in tables.metadata.tables,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.get_x_argument(as_dictionary=True).get("url") or read_settings().url
    database = Database(url)
    with database.engine.connect() as own:
        run(own)
        own.commit()
    database.close()
