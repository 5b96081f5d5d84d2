"""The append-only audit.

The previous release still runs on the result: the table is new.

Revision ID: 0009
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=96), nullable=False),
        sa.Column("lead_id", ID, nullable=True),
        sa.Column("campaign_id", ID, nullable=True),
        sa.Column("schedule_id", ID, nullable=True),
        sa.Column("attempt_id", ID, nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_lead", "events", ["lead_id"])


def downgrade() -> None:
    op.drop_table("events")
