"""Several numbers per lead, tried in order.

The previous release still runs on the result: the table is new.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lead_phones",
        sa.Column("lead_id", ID, autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("telefono", sa.String(length=32), nullable=False),
        sa.Column(
            "status",
            sa.Enum("active", "invalid", name="phone_status", create_constraint=True),
            nullable=False,
            server_default="active",
        ),
        sa.PrimaryKeyConstraint("lead_id", "position", name="pk_lead_phones"),
    )
    op.create_index("ix_lead_phones_phone", "lead_phones", ["telefono"])


def downgrade() -> None:
    op.drop_table("lead_phones")
