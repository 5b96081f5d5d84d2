"""What telephone numbers tell (country, kind of line, zones), one row for thousands that tell the same.

The previous release still runs on the result: it does not know the table.

Revision ID: 0036
"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("number_traits"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "number_traits",
        sa.Column("id", BIG, autoincrement=False, nullable=False, comment="follows from what the row says"),
        sa.Column("data_version", sa.String(16), nullable=False),
        sa.Column("country", sa.String(2), nullable=True),
        sa.Column("line", sa.String(24), nullable=False),
        sa.Column("zones", sa.String(2000), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_traits")),
    )


def downgrade() -> None:
    op.drop_table("number_traits")
