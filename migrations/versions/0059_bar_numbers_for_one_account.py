"""Numbers that one account may not call any more: what its own keys say of a number binds nobody else.

The previous release still runs on the result, and asks for none of this.

Revision ID: 0059
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("account_do_not_call"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "account_do_not_call",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("telefono", tables.PHONE, nullable=False),
        sa.Column("source", tables.Prose(255), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), server_default=tables.PresentInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_do_not_call")),
        sa.UniqueConstraint("telefono", "account_id", name=op.f("uq_account_do_not_call_telefono_account_id")),
    )


def downgrade() -> None:
    op.drop_table("account_do_not_call")
