"""The inbox of what providers report, once per vendor event.

The previous release still runs on the result: the table is new.

Revision ID: 0010
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "provider_events",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("event_key", sa.String(length=191), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=True),
        sa.Column("attempt_ref", sa.String(length=36), nullable=True),
        sa.Column("provider_call_id", sa.String(length=128), nullable=True),
        sa.Column("payload", sa.JSON(), nullable=True),
        sa.Column(
            "received_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()
        ),
        sa.Column("processed_at", tables.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_provider_events"),
        sa.UniqueConstraint("provider", "event_key", name="uq_provider_events_provider_event_key"),
    )
    op.create_index("ix_provider_events_unprocessed", "provider_events", ["processed_at", "id"])


def downgrade() -> None:
    op.drop_table("provider_events")
