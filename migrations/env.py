"""Run migrations on the connection that `ringback db` hands over, or on one of our own for `alembic`."""

from typing import Any

from alembic import context
from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Connection, Table

from scheduler.config import read_settings
from scheduler.store import tables
from scheduler.store.database import Database


class NamedCharset(MySQLImpl):
    """No table is ever made in the server's default character set, by old migrations neither: they name none, and
    a table in latin1 cannot hold what people write. The columns of each are set right by migration 0035.
    """

    __dialect__ = "mysql"

    def create_table(self, table: Table, **kw: Any) -> None:
        super().create_table(named(table), **kw)

    def version_table_impl(self, **kw: Any) -> Table:
        return named(super().version_table_impl(**kw))


def named(table: Table) -> Table:
    table.kwargs["mysql_default_charset"] = tables.CHARSET
    table.kwargs["mysql_collate"] = tables.EXACT
    return table


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
    database.make_file()
    with database.engine.connect() as own:
        run(own)
        own.commit()
    database.close()
