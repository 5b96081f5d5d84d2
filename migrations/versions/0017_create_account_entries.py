"""Every movement of an account's balance: their sum is the balance.

The previous release still runs on the result: the table is new.

Revision ID: 0017
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "account_entries",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("attempt_id", ID, nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "opening", "top_up", "reserve", "release", "charge", "adjust", name="entry_kind", create_constraint=True
            ),
            nullable=False,
        ),
        sa.Column("amount", sa.Numeric(precision=14, scale=4), nullable=False),
        sa.Column("note", sa.String(length=255), nullable=True),
        sa.Column("actor", sa.String(length=96), nullable=False),
        sa.Column("at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.PrimaryKeyConstraint("id", name="pk_account_entries"),
    )
    op.create_index("ix_account_entries_account", "account_entries", ["account_id", "id"])
    op.create_index("ix_account_entries_attempt", "account_entries", ["attempt_id"])
    # A balance that was there before its entries is their first.
    op.execute(
        "INSERT INTO account_entries (account_id, kind, amount, note, actor)"
        " SELECT id, 'opening', balance, 'balance before entries were kept', 'upgrade' FROM accounts WHERE balance <> 0"
    )


def downgrade() -> None:
    op.drop_table("account_entries")
