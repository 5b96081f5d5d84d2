"""Words, e-mails and numbers by which leads are found: upkeep fills them in.

The previous release still runs on the result, and searches as it did.

Revision ID: 0045
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    tables.lead_terms.create(op.get_bind(), checkfirst=True)


def downgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("lead_terms"):
        op.drop_table("lead_terms")
