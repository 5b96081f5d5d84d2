"""Which rules were in force since when, so that a change is noticed even across a restart.

The previous release still runs on the result: the table is new.

Revision ID: 0012
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "rule_versions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("campaign_id", ID, nullable=True, comment="NULL: scheduler_config"),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=True),
        sa.Column(
            "first_seen_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()
        ),
        sa.PrimaryKeyConstraint("id", name="pk_rule_versions"),
    )
    op.create_index("ix_rule_versions_campaign", "rule_versions", ["campaign_id", "id"])


def downgrade() -> None:
    op.drop_table("rule_versions")
