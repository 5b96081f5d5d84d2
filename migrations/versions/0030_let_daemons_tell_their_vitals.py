"""What a daemon measures of itself (ticks, lateness, dials by provider) can be asked of any process.

The previous release still runs on the result: it writes none.

Revision ID: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "daemons", sa.Column("vitals", sa.JSON(), nullable=True, comment="what it measured of itself, for /metrics")
    )


def downgrade() -> None:
    op.drop_column("daemons", "vitals")
