"""What an entry of the do-not-call list that is no number could mean: the last digits of each such number.

The previous release still runs on the result: it does not know the table.

Revision ID: 0042
"""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("do_not_call_keys"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "do_not_call_keys",
        sa.Column("number_key", sa.String(8), nullable=False),
        sa.Column("entry_id", BIG, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number_key", "entry_id", name=op.f("pk_do_not_call_keys")),
        sa.Index("ix_do_not_call_keys_entry", "entry_id"),
    )


def downgrade() -> None:
    op.drop_table("do_not_call_keys")
