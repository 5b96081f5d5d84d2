"""Counters that triggers kept go, with the triggers and the tables.

The server is asked first which triggers there are: where there are none, nothing is asked of a user who may make or
drop none. Daemons of the previous release go on calling on the result and report that nothing could be added up;
its pages, its API and its imports do not: end them before.

Revision ID: 0034
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
COUNTED = (
    "leads", "open", "suspended", "called", "reached", "unreached", "unpaid", "dials", "answered", "completed",
    "talk_seconds",
)  # fmt: skip
BY_HOUR = ("leads", "dials", "answered", "completed")
COUNTERS = ("campaign_changes", "campaign_totals", "campaign_hours")


def upgrade() -> None:
    # The triggers first: they write into the tables.
    for name in _list_triggers(op.get_bind()):
        op.execute(sa.text(f"DROP TRIGGER IF EXISTS {name}"))
    known = set(sa.inspect(op.get_bind()).get_table_names())
    for table in COUNTERS:
        if table in known:  # an upgrade that was cut off here may be run again
            op.drop_table(table)


def downgrade() -> None:
    """The tables as 0031 makes them, empty. Nothing counts into them: the previous release shows zeros."""
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


def _list_triggers(connection: sa.Connection) -> list[str]:
    """Those of ours that are there, by name."""
    if connection.dialect.name == "sqlite":
        there = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        there = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()"
    return sorted(
        name for name in connection.execute(sa.text(there)).scalars()
        if name.startswith(tuple(f"count_{table}_" for table in ("leads", "call_schedule", "call_attempts")))
    )


def _counters(names: tuple[str, ...]) -> list[sa.Column]:
    return [sa.Column(name, BIG, server_default=sa.text("0"), nullable=False) for name in names]


def _cost() -> sa.Column:
    return sa.Column("cost", sa.Numeric(20, 4), server_default=sa.text("0"), nullable=False)
