"""Costs that were told in US cents are kept in US dollars, as those of every other vendor are.

A daemon of the previous release still runs on the result; what it writes meanwhile is in cents, and says so.

Revision ID: 0063
"""

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

PAGE = 20_000


def upgrade() -> None:
    # The unit in the condition is what lets an upgrade that was cut off here be run again.
    _convert("cost / 100.0", was="usd_cents", to="usd")


def downgrade() -> None:
    """Costs stay as they are: dollars that were cents cannot be told from those that never were."""


def _convert(amount: str, *, was: str, to: str) -> None:
    bind = op.get_bind()
    newest = bind.execute(sa.text("SELECT MAX(id) FROM call_attempts")).scalar() or 0
    if bind.dialect.name == "sqlite":  # it keeps fractions in binary
        amount = f"ROUND({amount}, 4)"
    for first in range(0, newest + 1, PAGE):
        bind.execute(
            sa.text(
                f"UPDATE call_attempts SET cost = {amount}, cost_unit = :to"
                " WHERE id >= :first AND id < :end AND cost_unit = :was"
            ),
            {"first": first, "end": first + PAGE, "was": was, "to": to},
        )
