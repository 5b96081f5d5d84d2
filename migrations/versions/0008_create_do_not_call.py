"""Numbers that are never dialed.

The previous release still runs on the result: the table is new.

Revision ID: 0008
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "do_not_call",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("telefono", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column("expires_at", tables.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_do_not_call"),
        sa.UniqueConstraint("telefono", name="uq_do_not_call_telefono"),
    )


def downgrade() -> None:
    op.drop_table("do_not_call")
