"""Which rules decided a step of a lead.

The previous release still runs on the result: it does not ask for the new column.

Revision ID: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("rule_version", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "rule_version")
