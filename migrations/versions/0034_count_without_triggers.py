"""Counters that triggers kept go, with the triggers and the tables; indexes to count in come.

The server is asked first which triggers there are: where there are none, nothing is asked of a user who may make or
drop none. Daemons of the previous release go on calling on the result and report that nothing could be added up;
its pages, its API and its imports do not: end them before.

Revision ID: 0034
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

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
WAS_CALLED = "call_attempts_count > 0"
LEADS = {
    "ix_leads_counted": ("campaign_id", "lead_status", "closed_reason", "was_called"),
    "ix_leads_created": ("created_at", "campaign_id"),
}
POLL = ("state", "next_poll_at", "campaign_id", "placed_at", "outcome", "talk_seconds", "cost")
COUNTERS = ("campaign_changes", "campaign_totals", "campaign_hours")


def upgrade() -> None:
    known = set(sa.inspect(op.get_bind()).get_table_names())
    triggers = _list_triggers(op.get_bind())
    if "campaign_changes" in known and not triggers and not _sees_triggers(op.get_bind()):
        # Without the tables that they write into, they would let nobody write leads and calls.
        raise CommandError(
            "there may be triggers of an earlier release that this user is not shown; upgrade as the user that made "
            "the tables, or GRANT TRIGGER on this database to this one"
        )
    # The triggers first: they write into the tables.
    for name in triggers:
        op.execute(sa.text(f"DROP TRIGGER IF EXISTS {name}"))
    for table in COUNTERS:
        if table in known:  # an upgrade that was cut off here may be run again
            op.drop_table(table)
    made = _Made(op.get_bind())
    if "was_called" not in made.columns:
        # On its own: a server adds a column that it computes at once, and one together with an index by a copy.
        op.add_column("leads", sa.Column("was_called", sa.SmallInteger(), sa.Computed(WAS_CALLED, persisted=False)))
    for name, columns in LEADS.items():
        if name not in made.indexes:
            op.create_index(name, "leads", list(columns))
    _replace_poll(POLL)


def _replace_poll(columns: tuple[str, ...]) -> None:
    """In one statement where servers can: daemons that run meanwhile always have one of the two."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_call_attempts_poll", "call_attempts")
        op.create_index("ix_call_attempts_poll", "call_attempts", list(columns))
        return
    op.execute(
        f"ALTER TABLE call_attempts DROP INDEX ix_call_attempts_poll,"
        f" ADD INDEX ix_call_attempts_poll ({', '.join(columns)})"
    )


class _Made:
    """What an upgrade that was cut off has left in `leads`."""

    def __init__(self, connection: sa.Connection) -> None:
        self.columns = {one["name"] for one in sa.inspect(connection).get_columns("leads")}
        self.indexes = {one["name"] for one in sa.inspect(connection).get_indexes("leads")}


def downgrade() -> None:
    """The tables as 0031 makes them, empty. Nothing counts into them: the previous release shows zeros."""
    _replace_poll(POLL[:2])
    for name in LEADS:
        op.drop_index(name, "leads")
    op.drop_column("leads", "was_called")
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


def _sees_triggers(connection: sa.Connection) -> bool:
    """Is this user shown the triggers that there are? A server lists only those of tables on which it may make some."""
    if connection.dialect.name == "sqlite":
        return True
    grants = " ".join(connection.execute(sa.text("SHOW GRANTS")).scalars()).upper()
    return "ALL PRIVILEGES" in grants or "TRIGGER" in grants


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
