"""What a telephone number tells stands beside it, so that no daemon reads the same number twice.

The numbers that are there are learnt by the first take that meets them, and by upkeep. The previous release still
runs on the result: it does not write the new columns, and what it writes is learnt later.

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
    op.create_table(
        "number_traits",
        sa.Column("id", BIG, autoincrement=False, nullable=False, comment="follows from what the row says"),
        sa.Column("data_version", sa.String(16), nullable=False),
        sa.Column("country", sa.String(2), nullable=True),
        sa.Column("line", sa.String(24), nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_number_traits")),
    )
    for column in (
        sa.Column("e164", sa.String(16), nullable=True),
        sa.Column("number_key", sa.String(8), nullable=True, comment="the last digits, which no spelling changes"),
        sa.Column("traits_id", BIG, nullable=True),
    ):
        op.add_column("lead_phones", column)


def downgrade() -> None:
    for column in ("traits_id", "number_key", "e164"):
        op.drop_column("lead_phones", column)
    op.drop_table("number_traits")
