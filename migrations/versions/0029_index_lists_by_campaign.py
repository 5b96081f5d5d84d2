"""Lists of leads and of the audit are read page by page, also in tables of millions.

The previous release still runs on the result.

Revision ID: 0029
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_leads_campaign", "leads", ["campaign_id"])
    op.create_index("ix_events_campaign", "events", ["campaign_id"])
    op.create_index("ix_events_kind", "events", ["kind"])


def downgrade() -> None:
    op.drop_index("ix_events_kind", table_name="events")
    op.drop_index("ix_events_campaign", table_name="events")
    op.drop_index("ix_leads_campaign", table_name="leads")
