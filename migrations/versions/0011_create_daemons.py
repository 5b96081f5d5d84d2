"""A heartbeat row per running daemon.

The previous release still runs on the result: the table is new.

Revision ID: 0011
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "daemons",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("owner", sa.String(length=96), nullable=False),
        sa.Column("host", sa.String(length=64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("running", "stopping", "stopped", name="daemon_status", create_constraint=True),
            nullable=False,
            server_default="running",
        ),
        sa.Column("provider", sa.String(length=32), nullable=True),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("ticks", ID, nullable=False, server_default=sa.text("0")),
        sa.Column("started_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column(
            "last_seen_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()
        ),
        sa.PrimaryKeyConstraint("id", name="pk_daemons"),
        sa.UniqueConstraint("owner", name="uq_daemons_owner"),
    )


def downgrade() -> None:
    op.drop_table("daemons")
