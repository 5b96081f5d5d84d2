"""The intentions to call. One open row per lead, held by a unique key over a generated column:
it is the lead while the row is open and NULL afterwards, and NULLs never collide.

The previous release still runs on the result: the table is new.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_LEAD = "CASE WHEN status IN ('pending','in_progress') THEN lead_id END"


def upgrade() -> None:
    op.create_table(
        "call_schedule",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("lead_id", ID, nullable=False),
        sa.Column("campaign_id", ID, nullable=True),
        sa.Column(
            "scheduled_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()
        ),
        sa.Column(
            "wanted_at",
            tables.UTCDateTime(),
            nullable=True,
            comment="when it was wished, where hours or a hold moved scheduled_at",
        ),
        sa.Column("attempt_number", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("phone_position", sa.SmallInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "in_progress",
                "completed",
                "cancelled",
                name="schedule_status",
                create_constraint=True,
            ),
            nullable=False,
            server_default="pending",
        ),
        sa.Column(
            "last_outcome",
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
                name="last_outcome",
                create_constraint=True,
            ),
            nullable=True,
        ),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("promise", sa.Boolean(create_constraint=False), nullable=False, server_default=sa.false()),
        sa.Column(
            "hold",
            sa.Enum("manual", "suspended", "never", "error", name="schedule_hold", create_constraint=True),
            nullable=True,
            comment="waits for people, not for the clock",
        ),
        sa.Column("lease_owner", sa.String(length=96), nullable=True),
        sa.Column("lease_token", sa.String(length=36), nullable=True),
        sa.Column("lease_expires_at", tables.UTCDateTime(), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column(
            "updated_at",
            tables.UTCDateTime(),
            nullable=False,
            server_default=tables.PresentInstant(on_update=True),
        ),
        sa.Column("open_lead_id", ID, sa.Computed(OPEN_LEAD, persisted=False), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_call_schedule"),
        sa.UniqueConstraint("open_lead_id", name="uq_call_schedule_open_lead"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_call_schedule_due", "call_schedule", ["status", "campaign_id", "scheduled_at", "id"])
    op.create_index("ix_call_schedule_held", "call_schedule", ["hold"])
    op.create_index("ix_call_schedule_lead", "call_schedule", ["lead_id", "status"])


def downgrade() -> None:
    op.drop_table("call_schedule")
