"""The people to call. Every column but the id may be left out by hand-written SQL.

The previous release still runs on the result: the table is new.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "leads",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("campaign_id", ID, nullable=True),
        sa.Column("nombre", sa.String(length=255), nullable=True),
        sa.Column("apellidos", sa.String(length=255), nullable=True),
        sa.Column("telefono", sa.String(length=32), nullable=True),
        sa.Column("email", sa.String(length=255), nullable=True),
        sa.Column(
            "lead_status",
            sa.Enum("open", "closed", "suspended", name="lead_status", create_constraint=True),
            nullable=True,
            server_default="open",
        ),
        sa.Column("closed_reason", sa.String(length=64), nullable=True),
        sa.Column(
            "manual_management", sa.Boolean(create_constraint=False), nullable=True, server_default=sa.false()
        ),
        sa.Column(
            "call_status",
            sa.Enum(
                "no_selected",
                "selected",
                "calling",
                "completed",
                "error",
                "busy",
                "no_answer",
                "hang_up",
                "voicemail",
                name="call_status",
                create_constraint=True,
            ),
            nullable=True,
            server_default="no_selected",
        ),
        sa.Column("call_attempts_count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("closed_at", tables.UTCDateTime(), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=True),
        sa.Column("region", sa.String(length=16), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("variables", sa.JSON(), nullable=True),
        sa.Column("fecha_limite", sa.Date(), nullable=True),
        sa.Column("appointment_at", tables.UTCDateTime(), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column(
            "updated_at",
            tables.UTCDateTime(),
            nullable=False,
            server_default=tables.PresentInstant(on_update=True),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_leads"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_leads_campaign", "leads", ["campaign_id"])
    op.create_index("ix_leads_closed", "leads", ["lead_status", "closed_at"])
    op.create_index("ix_leads_phone", "leads", ["telefono"])


def downgrade() -> None:
    op.drop_table("leads")
