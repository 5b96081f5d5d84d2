"""Events are in the order of time by their key; no index repeats that.

The previous release still runs on the result: reports over a period read more rows.

Revision ID: 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if "ix_events_at" in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes("events")}:
        op.drop_index("ix_events_at", "events")


def downgrade() -> None:
    op.create_index("ix_events_at", "events", ["at"])
