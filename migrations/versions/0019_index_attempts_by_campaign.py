"""Find the last calls of a campaign, and those about one debt.

The previous release still runs on the result.

Revision ID: 0019
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_call_attempts_campaign", "call_attempts", ["campaign_id", "claimed_at"])
    op.create_index("ix_call_attempts_debt", "call_attempts", ["debt"])


def downgrade() -> None:
    op.drop_index("ix_call_attempts_debt", "call_attempts")
    op.drop_index("ix_call_attempts_campaign", "call_attempts")
