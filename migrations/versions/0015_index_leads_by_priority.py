"""Find the most urgent leads of a campaign without reading the others.

The previous release still runs on the result: the index of the campaign alone is its beginning.

Revision ID: 0015
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_leads_priority", "leads", ["campaign_id", "priority"])
    op.drop_index("ix_leads_campaign", "leads")


def downgrade() -> None:
    op.create_index("ix_leads_campaign", "leads", ["campaign_id"])
    op.drop_index("ix_leads_priority", "leads")
