"""The times at which this database was found to be older than what had been done, and at which its clock went back.
While one of the former is open, nothing is dialed.

The previous release still runs on the result, and does not hold: do not go back while one is open.

Revision ID: 0049
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    made = sa.inspect(op.get_bind()).get_table_names()  # an upgrade that was cut off here may be run again
    if "clock_steps" not in made:
        op.create_table(
            "clock_steps",
            sa.Column("id", BIG, autoincrement=True, nullable=False),
            sa.Column("at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
            sa.Column("until_at", tables.UTCDateTime(), nullable=True),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_steps")),
        )
    if "recoveries" in made:
        return
    op.create_table(
        "recoveries",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("noticed_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column("noticed_by", tables.String(96), nullable=False),
        sa.Column("reason", tables.Prose(255), nullable=False),
        sa.Column("newest_at", tables.UTCDateTime(), nullable=True),
        sa.Column("looked_at", tables.UTCDateTime(), nullable=True),
        sa.Column("adopted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unplaced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("doubt", tables.Prose(255), nullable=True),
        sa.Column("released_at", tables.UTCDateTime(), nullable=True),
        sa.Column("released_by", tables.String(96), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recoveries")),
    )


def downgrade() -> None:
    op.drop_table("recoveries")
    op.drop_table("clock_steps")
