"""What an account is kept in, and what each of its entries was in; what a provider charged in that it cannot pay.

Entries so far are in what people were told: minutes, or credits. The previous release still runs on the result: it
calls everything credits.

Revision ID: 0061
"""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0059"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
PAGE = 20_000
COLUMNS = (
    ("accounts", "credit_unit", "'credits'", "credits, or a currency: usd"),
    ("accounts", "refused_unit", None, "what a provider charged in, that this account cannot pay"),
    ("account_entries", "unit", "'credits'", "what the account was kept in then"),
)


def upgrade() -> None:
    bind = op.get_bind()
    for table, column, default, comment in COLUMNS:
        if column in {one["name"] for one in sa.inspect(bind).get_columns(table)}:
            continue  # an upgrade that was cut off here may be run again
        must = f" NOT NULL DEFAULT {default}" if default else ""
        if bind.dialect.name == "sqlite":
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(16){must}")
        else:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(16) {EXACT}{must} COMMENT '{comment}'")
    newest = bind.execute(sa.text("SELECT MAX(id) FROM account_entries")).scalar() or 0
    for first in range(0, newest + 1, PAGE):
        bind.execute(sa.text(
            "UPDATE account_entries SET unit = 'minutes' WHERE id >= :first AND id < :end AND unit <> 'minutes'"
            " AND account_id IN (SELECT id FROM accounts WHERE billing_type = 'minutes')"
        ), {"first": first, "end": first + PAGE})  # fmt: skip


def downgrade() -> None:
    for table, column, *_ in reversed(COLUMNS):
        op.drop_column(table, column)
