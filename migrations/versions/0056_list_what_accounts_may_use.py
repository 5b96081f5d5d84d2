"""What the key of an account may use: providers, agents, caller ids, countries, groups, and its highest priority.

The previous release still runs on the result: it does not know the table.

Revision ID: 0056
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0056"
down_revision = "0051"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("account_allowances"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "account_allowances",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column(
            "kind", tables.String(16), nullable=False, comment="provider, agent, caller_id, country, group, priority"
        ),
        sa.Column("value", tables.String(191), nullable=False),
        sa.Column("created_at", tables.UTCDateTime(), server_default=tables.PresentInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_allowances")),
        sa.UniqueConstraint("account_id", "kind", "value", name=op.f("uq_account_allowances_account_id_kind_value")),
    )


def downgrade() -> None:
    op.drop_table("account_allowances")
