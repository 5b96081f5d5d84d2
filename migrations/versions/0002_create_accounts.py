"""Who pays: accounts with a way of billing and a balance.

The previous release still runs on the result: the table is new.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column(
            "status",
            sa.Enum("active", "closed", name="account_status", create_constraint=True),
            nullable=False,
            server_default="active",
        ),
        sa.Column(
            "billing_type",
            sa.Enum("unlimited", "minutes", "credits", name="billing_type", create_constraint=True),
            nullable=False,
            server_default="unlimited",
        ),
        sa.Column("balance", sa.Numeric(precision=14, scale=4), nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("code", name="uq_accounts_code"),
    )


def downgrade() -> None:
    op.drop_table("accounts")
