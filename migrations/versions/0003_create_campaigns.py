"""Lists of leads with rules of their own.

The previous release still runs on the result: the table is new.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "active", "paused", "cancelled", "completed", name="campaign_status", create_constraint=True
            ),
            nullable=False,
            server_default="active",
        ),
        sa.Column("status_reason", sa.String(length=255), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("provider", sa.String(length=32), nullable=True),
        sa.Column("dial_mode", sa.String(length=32), nullable=False, server_default="agentless"),
        sa.Column("call_settings", sa.JSON(), nullable=True),
        sa.Column("started_at", tables.UTCDateTime(), nullable=True),
        sa.Column("completed_at", tables.UTCDateTime(), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        sa.UniqueConstraint("code", name="uq_campaigns_code"),
    )
    op.create_index("ix_campaigns_status", "campaigns", ["status"])


def downgrade() -> None:
    op.drop_table("campaigns")
