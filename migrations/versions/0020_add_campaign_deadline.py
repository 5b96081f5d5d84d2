"""The last date on which a campaign calls, and the group whose calls count together.

The previous release still runs on the result: it does not ask for the new columns.

Revision ID: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("fecha_limite", sa.Date(), nullable=True))
    op.add_column("campaigns", sa.Column("group_name", sa.String(length=64), nullable=True))
    op.create_index("ix_campaigns_account", "campaigns", ["account_id"])
    op.create_index("ix_campaigns_group", "campaigns", ["group_name"])


def downgrade() -> None:
    op.drop_index("ix_campaigns_group", "campaigns")
    op.drop_index("ix_campaigns_account", "campaigns")
    op.drop_column("campaigns", "group_name")
    op.drop_column("campaigns", "fecha_limite")
