"""Who pays for an attempt and what is set aside for it; what it was about, for caps.

The previous release still runs on the result: it does not ask for the new columns.

Revision ID: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    money = sa.Numeric(precision=14, scale=4)
    op.add_column("call_attempts", sa.Column("account_id", ID, nullable=True))
    op.add_column("call_attempts", sa.Column("reserved", money, nullable=True))
    op.add_column("call_attempts", sa.Column("debt", sa.String(length=64), nullable=True))
    op.add_column("call_attempts", sa.Column("subject", sa.String(length=64), nullable=True))


def downgrade() -> None:
    for name in ("subject", "debt", "reserved", "account_id"):
        op.drop_column("call_attempts", name)
