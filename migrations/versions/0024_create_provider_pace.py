"""When the next call to a provider may begin, where it takes only so many a second.

The previous release still runs on the result: the table is new.

Revision ID: 0024
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_pace",
        sa.Column("provider", sa.String(length=32), autoincrement=False, nullable=False),
        sa.Column("next_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.PrimaryKeyConstraint("provider", name="pk_provider_pace"),
    )


def downgrade() -> None:
    op.drop_table("provider_pace")
