"""What was learnt of a number stands beside it, so that no daemon reads the same number twice.

Numbers that are there are learnt by the first take that meets them, and by upkeep. The previous release still runs
on the result: what it writes is learnt later.

Revision ID: 0037
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def upgrade() -> None:
    if "traits_id" in {one["name"] for one in sa.inspect(op.get_bind()).get_columns("lead_phones")}:
        return  # an upgrade that was cut off here may be run again
    if op.get_bind().dialect.name == "sqlite":
        op.add_column("lead_phones", sa.Column("e164", sa.String(16)))
        op.add_column("lead_phones", sa.Column("number_key", sa.String(8)))
        op.add_column("lead_phones", sa.Column("traits_id", sa.Integer))
        return
    op.execute(
        f"ALTER TABLE lead_phones ADD COLUMN e164 VARCHAR(16) {EXACT}, ADD COLUMN number_key VARCHAR(8) {EXACT}"
        " COMMENT 'the last digits, which no spelling changes', ADD COLUMN traits_id BIGINT"
    )


def downgrade() -> None:
    for column in ("traits_id", "number_key", "e164"):
        op.drop_column("lead_phones", column)
