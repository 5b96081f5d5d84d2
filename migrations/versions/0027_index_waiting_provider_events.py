"""Find the provider events whose turn has come without reading those that wait longer.

The previous release still runs on the result: its own index is gone, but what it asks is answered by this one.

Revision ID: 0027
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_provider_events_waiting", "provider_events", ["processed_at", "next_try_at", "id"])
    op.drop_index("ix_provider_events_unprocessed", "provider_events")


def downgrade() -> None:
    op.create_index("ix_provider_events_unprocessed", "provider_events", ["processed_at", "id"])
    op.drop_index("ix_provider_events_waiting", "provider_events")
