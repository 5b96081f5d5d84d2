"""The index that figures are counted from says in what unit a cost is: amounts of two units are never one.

The previous release still runs on the result.

Revision ID: 0062
"""

from alembic import op

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None

NAME = "ix_call_attempts_poll"
BEFORE = "state, next_poll_at, campaign_id, placed_at, outcome, talk_seconds, cost"


def upgrade() -> None:
    _make(f"{BEFORE}, cost_unit")


def downgrade() -> None:
    _make(BEFORE)


def _make(columns: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP INDEX {NAME}")
        op.execute(f"CREATE INDEX {NAME} ON call_attempts ({columns})")
    else:  # in one statement, so that daemons that run meanwhile always have one of the two
        op.execute(f"ALTER TABLE call_attempts DROP INDEX {NAME}, ADD INDEX {NAME} ({columns})")
