"""Calls that a provider made beside the one that was asked for: kept, followed to their end, and paid for.

The previous release still runs on the result: it does not know the table.

Revision ID: 0051
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from scheduler.store import tables

revision = "0051"
down_revision = "0040"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _exact(length: int) -> sa.types.TypeEngine[str]:
    named = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(named, "mysql", "mariadb")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("second_calls"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "second_calls",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("provider", _exact(32), nullable=False),
        sa.Column("provider_call_id", _exact(128), nullable=False),
        sa.Column("attempt_id", BIG, nullable=False, comment="of the request that it was made for"),
        sa.Column("outcome", _exact(16), nullable=True),
        sa.Column("provider_status", _exact(128), nullable=True),
        sa.Column("talk_seconds", sa.Integer(), nullable=True),
        sa.Column("cost", sa.Numeric(14, 4), nullable=True),
        sa.Column("cost_unit", _exact(16), nullable=True),
        sa.Column("charged", sa.Numeric(14, 4), nullable=False, server_default=sa.text("0")),
        sa.Column("seen_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column("ended_at", tables.UTCDateTime(), nullable=True),
        sa.Column("next_poll_at", tables.UTCDateTime(), nullable=True),
        sa.Column("lookups", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_calls")),
        sa.UniqueConstraint("provider", "provider_call_id", name="uq_second_calls_provider_provider_call_id"),
        sa.Index("ix_second_calls_poll", "next_poll_at"),
        sa.Index("ix_second_calls_attempt", "attempt_id"),
    )


def downgrade() -> None:
    op.drop_table("second_calls")
