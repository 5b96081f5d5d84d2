"""Numbers of leads are found by their last digits, which no spelling changes.

The previous release still runs on the result.

Revision ID: 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if "ix_lead_phones_key" not in {one["name"] for one in sa.inspect(op.get_bind()).get_indexes("lead_phones")}:
        op.create_index("ix_lead_phones_key", "lead_phones", ["number_key"])


def downgrade() -> None:
    op.drop_index("ix_lead_phones_key", "lead_phones")
