"""Every dial, written before it is made. One open attempt per phone and per schedule row.

The previous release still runs on the result: the table is new.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_MARK = "CASE WHEN state IN ('placing','live','unknown') THEN 1 END"


def upgrade() -> None:
    op.create_table(
        "call_attempts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("attempt_ref", sa.String(length=36), nullable=False),
        sa.Column("schedule_id", ID, nullable=True),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("campaign_id", ID, nullable=True),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("telefono", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("provider_call_id", sa.String(length=128), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "placing", "live", "unknown", "ended", "refused", name="attempt_state", create_constraint=True
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "completed",
                "callback",
                "no_answer",
                "busy",
                "hang_up",
                "voicemail",
                "failed",
                "invalid_number",
                "do_not_call",
                "cancelled",
                name="outcome",
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("provider_status", sa.String(length=128), nullable=True),
        sa.Column("placed_at", tables.UTCDateTime(), nullable=True),
        sa.Column("answered_at", tables.UTCDateTime(), nullable=True),
        sa.Column("ended_at", tables.UTCDateTime(), nullable=True),
        sa.Column("next_poll_at", tables.UTCDateTime(), nullable=True),
        sa.Column("lookups", sa.SmallInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("talk_seconds", sa.Integer(), nullable=True),
        sa.Column("cost", sa.Numeric(precision=14, scale=4), nullable=True),
        sa.Column("cost_unit", sa.String(length=16), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("appointment_at", tables.UTCDateTime(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.Column("error", sa.String(length=255), nullable=True),
        sa.Column("claimed_at", tables.UTCDateTime(), nullable=True),
        sa.Column("dial_before", tables.UTCDateTime(), nullable=True),
        sa.Column("open_from", tables.UTCDateTime(), nullable=True),
        sa.Column("open_until", tables.UTCDateTime(), nullable=True),
        sa.Column("not_again_before", tables.UTCDateTime(), nullable=True),
        sa.Column("open_mark", sa.SmallInteger(), sa.Computed(OPEN_MARK, persisted=False), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_call_attempts"),
        sa.UniqueConstraint("attempt_ref", name="uq_call_attempts_attempt_ref"),
        sa.UniqueConstraint(
            "provider", "provider_call_id", name="uq_call_attempts_provider_provider_call_id"
        ),
        sa.UniqueConstraint("schedule_id", "open_mark", name="uq_call_attempts_open_schedule"),
        sa.UniqueConstraint("telefono", "open_mark", name="uq_call_attempts_open_phone"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_call_attempts_lead", "call_attempts", ["lead_id"])
    op.create_index("ix_call_attempts_poll", "call_attempts", ["state", "next_poll_at"])


def downgrade() -> None:
    op.drop_table("call_attempts")
