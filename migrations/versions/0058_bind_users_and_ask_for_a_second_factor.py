"""Users may be of one account, and may have a second factor.

The previous release still runs on the result, but asks nobody for the second factor.

Revision ID: 0058
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    known = {one["name"] for one in sa.inspect(op.get_bind()).get_columns("users")}
    for column in (
        sa.Column("account_id", BIG),
        sa.Column("totp_secret", tables.String(64)),
        sa.Column("totp_since", tables.UTCDateTime()),
        sa.Column("totp_step", BIG),
        sa.Column("recovery_codes", sa.JSON()),
    ):
        if column.name not in known:  # an upgrade that was cut off here may be run again
            op.add_column("users", column)


def downgrade() -> None:
    for column in ("recovery_codes", "totp_step", "totp_since", "totp_secret", "account_id"):
        op.drop_column("users", column)
