"""Nothing is counted by triggers any more: where an upgrade comes from before them, their tables go at once.

An earlier release made triggers here, which asked for a privilege, or a setting of the server, that many have not.
Where they stand, 0034 takes them away; it knows them by the tables, which are there only where this step was made by
that release.

Revision ID: 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    known = set(sa.inspect(op.get_bind()).get_table_names())
    for table in ("campaign_changes", "campaign_totals", "campaign_hours"):
        if table in known:
            op.drop_table(table)


def downgrade() -> None:
    """0034 makes the tables when it is undone."""
