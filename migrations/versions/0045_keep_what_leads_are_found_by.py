"""Words, e-mails and numbers by which leads are found: upkeep fills them in.

The previous release still runs on the result: it does not know the table, and searches as it did.

Revision ID: 0045
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("lead_terms"):
        return  # an upgrade that was cut off here may be run again
    op.create_table(
        "lead_terms",
        sa.Column("lead_id", BIG, autoincrement=False, nullable=False),
        sa.Column("term", sa.String(48), nullable=False),
        sa.PrimaryKeyConstraint("lead_id", "term", name=op.f("pk_lead_terms")),
        comment="what leads are found by; written by the program, and again where somebody deletes it",
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lead_terms")
