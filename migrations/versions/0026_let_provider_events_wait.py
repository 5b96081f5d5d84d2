"""A provider event may wait for the call that it is about, and says what became of it.

The previous release still runs on the result: it does not ask for the new columns.

Revision ID: 0026
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("provider_events", sa.Column("tries", sa.SmallInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("provider_events", sa.Column("next_try_at", tables.UTCDateTime(), nullable=True))
    op.add_column("provider_events", sa.Column("result", sa.String(length=255), nullable=True))


def downgrade() -> None:
    for name in ("result", "next_try_at", "tries"):
        op.drop_column("provider_events", name)
