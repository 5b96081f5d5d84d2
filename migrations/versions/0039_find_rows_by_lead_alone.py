"""The rows of a lead are found by the lead alone: with the status in it, each step of a row changed this index.

The previous release still runs on the result.

Revision ID: 0039
"""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make("lead_id")


def downgrade() -> None:
    _make("lead_id, status")


def _make(columns: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP INDEX ix_call_schedule_lead")
        op.execute(f"CREATE INDEX ix_call_schedule_lead ON call_schedule ({columns})")
    else:  # in one statement, so that there is no moment without it
        op.execute(
            f"ALTER TABLE call_schedule DROP INDEX ix_call_schedule_lead, ADD INDEX ix_call_schedule_lead ({columns})"
        )
