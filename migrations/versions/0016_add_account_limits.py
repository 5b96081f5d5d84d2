"""What an account's calls may cost, how many of them may run at once, and when it is nearly empty.

The previous release still runs on the result: it does not ask for the new columns.

Revision ID: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    money = sa.Numeric(precision=14, scale=4)
    op.add_column("accounts", sa.Column("max_concurrent_calls", sa.Integer(), nullable=True))
    op.add_column("accounts", sa.Column("price_per_minute", money, nullable=True))
    op.add_column("accounts", sa.Column("reserve_per_call", money, nullable=True))
    op.add_column("accounts", sa.Column("low_balance", money, nullable=True))


def downgrade() -> None:
    for name in ("low_balance", "reserve_per_call", "price_per_minute", "max_concurrent_calls"):
        op.drop_column("accounts", name)
