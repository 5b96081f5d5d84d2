"""Counters of campaigns, so that a screen may ask every few seconds in tables of millions.

The previous release still runs on the result: nothing writes these tables yet.

Revision ID: 0031
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COUNTED = (
    "leads", "open", "suspended", "called", "reached", "unreached", "unpaid", "dials", "answered", "completed",
    "talk_seconds",
)  # fmt: skip
BY_HOUR = ("leads", "dials", "answered", "completed")


def upgrade() -> None:
    op.create_table(
        "campaign_changes",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("campaign_id", BIG, nullable=False),
        sa.Column("quarter", BIG, nullable=True, comment="of an hour since 1970, where it belongs to an hour"),
        *_counters(COUNTED),
        _cost(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_changes")),
    )
    op.create_index("ix_campaign_changes_campaign", "campaign_changes", ["campaign_id"])
    op.create_table(
        "campaign_totals",
        sa.Column("campaign_id", BIG, autoincrement=False, nullable=False),
        *_counters(COUNTED),
        _cost(),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaign_totals")),
    )
    op.create_table(
        "campaign_hours",
        sa.Column("hour_at", tables.UTCDateTime(), server_default=tables.PresentInstant(), nullable=False),
        sa.Column("campaign_id", BIG, autoincrement=False, nullable=False),
        *_counters((*BY_HOUR, "leads_from_15", "leads_from_30", "leads_from_45")),
        sa.PrimaryKeyConstraint("hour_at", "campaign_id", name=op.f("pk_campaign_hours")),
    )
    op.create_index("ix_campaign_hours_campaign", "campaign_hours", ["campaign_id", "hour_at", "leads"])


def downgrade() -> None:
    for table in ("campaign_hours", "campaign_totals", "campaign_changes"):
        op.drop_table(table)


def _counters(names: tuple[str, ...]) -> list[sa.Column]:
    return [sa.Column(name, BIG, server_default=sa.text("0"), nullable=False) for name in names]


def _cost() -> sa.Column:
    return sa.Column("cost", sa.Numeric(20, 4), server_default=sa.text("0"), nullable=False)
