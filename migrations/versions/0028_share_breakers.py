"""What a provider may be asked for is known to every daemon: its breaker, and the rate it was slowed to.

The previous release still runs on the result: it keeps its breakers to itself, as before.

Revision ID: 0028
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

COLUMNS = ("faults", "rest_seconds", "open_until", "pace", "rate", "throttled_at", "reason", "changed_at")


def upgrade() -> None:
    for column in (
        sa.Column("faults", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("rest_seconds", sa.Double(), nullable=True),
        sa.Column("open_until", tables.UTCDateTime(), nullable=True),
        sa.Column("pace", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("throttled_at", tables.UTCDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("changed_at", tables.UTCDateTime(), nullable=True),
    ):
        op.add_column("provider_pace", column)


def downgrade() -> None:
    for name in reversed(COLUMNS):
        op.drop_column("provider_pace", name)
