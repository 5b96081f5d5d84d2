"""Global calling rules, one row each, with the values that a new installation starts from.

The previous release still runs on the result: the table is new.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# An empty value of an outcome's own key means: as the default says.
SEEDS = [
    ("default_delay_hours", "4", "Hours before the next attempt, where an outcome has none of its own (decimals: 0.5)"),
    ("default_max_attempts", "3", "Attempts in all, where an outcome has no maximum of its own"),
    *[
        row
        for outcome, words in [
            ("no_answer", "nobody answered"),
            ("busy", "the line was busy"),
            ("hang_up", "the call was cut"),
            ("voicemail", "a machine answered"),
            ("failed", "the call failed"),
        ]
        for row in [
            (f"{outcome}_delay_hours", "", f"Hours before the next attempt after {words}; empty: default_delay_hours"),
            (f"{outcome}_max_attempts", "", f"Attempts in all when {words} last; empty: default_max_attempts"),
        ]
    ],
    ("working_hours_start", "09:00", "From when leads may be called, on their own clock (HH:MM)"),
    ("working_hours_end", "20:00", "Until when leads may be called, on their own clock, end excluded (HH:MM)"),
    ("working_days", "1,2,3,4,5", "Days on which leads may be called, Monday = 1"),
    ("timezone", "America/Santiago", "Clock of leads whose own zone is not known (IANA name)"),
    ("holidays", "", "Days without calls: codes and dates, e.g. CL,ES-CT,2026-12-24; -2026-12-08 takes a day out"),
    ("ring_timeout", "30", "Seconds to let it ring"),
    ("max_call_duration", "600", "Seconds that a call may last"),
    ("max_concurrent_calls", "20", "Calls at once, over all campaigns and daemons"),
    ("lease_seconds", "60", "Seconds that a daemon may hold a row while it dials"),
    ("cleanup_after_days", "30", "Days after which cancelled rows are deleted by ringback cleanup"),
]


def upgrade() -> None:
    config = op.create_table(
        "scheduler_config",
        sa.Column("config_key", sa.String(length=64), autoincrement=False, nullable=False),
        sa.Column("config_value", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column(
            "updated_at",
            tables.UTCDateTime(),
            nullable=False,
            server_default=tables.PresentInstant(on_update=True),
        ),
        sa.PrimaryKeyConstraint("config_key", name="pk_scheduler_config"),
    )
    op.bulk_insert(
        config,
        [{"config_key": key, "config_value": value, "description": words} for key, value, words in SEEDS],
    )


def downgrade() -> None:
    op.drop_table("scheduler_config")
