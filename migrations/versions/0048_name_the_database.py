"""A name of this database, which every copy of it bears: what was done is remembered by it outside the database.

The previous release still runs on the result: it does not know the table. The name is given by the first daemon.

Revision ID: 0048
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("identity"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "identity",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", tables.String(36), nullable=False),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
    )


def downgrade() -> None:
    op.drop_table("identity")
