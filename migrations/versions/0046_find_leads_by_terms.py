"""The index that a search walks.

Revision ID: 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if "ix_lead_terms_term" not in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes("lead_terms")}:
        op.create_index("ix_lead_terms_term", "lead_terms", ["term", "lead_id"])


def downgrade() -> None:
    op.drop_index("ix_lead_terms_term", "lead_terms")
