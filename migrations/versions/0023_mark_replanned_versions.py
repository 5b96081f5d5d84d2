"""Rules are written down by whoever first decides by them; whether waiting calls were planned again is apart.

The previous release still runs on the result: it does not ask for the new column.

Revision ID: 0023
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rule_versions", sa.Column("replanned_at", tables.UTCDateTime(), nullable=True))
    op.execute("UPDATE rule_versions SET replanned_at = first_seen_at")
    op.create_index("ix_rule_versions_fingerprint", "rule_versions", ["fingerprint"])


def downgrade() -> None:
    op.drop_index("ix_rule_versions_fingerprint", "rule_versions")
    op.drop_column("rule_versions", "replanned_at")
