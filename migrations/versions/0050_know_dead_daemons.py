"""A daemon writes down what its host knows its process by, so that others can tell a dead one from a frozen one.

The previous release still runs on the result: it leaves the column empty, and is believed dead after long silence.

Revision ID: 0050
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def upgrade() -> None:
    if "process_mark" in {one["name"] for one in sa.inspect(op.get_bind()).get_columns("daemons")}:
        return  # an upgrade that was cut off here may be run again
    if op.get_bind().dialect.name == "sqlite":
        op.add_column("daemons", sa.Column("process_mark", sa.String(96)))
        return
    op.execute(
        f"ALTER TABLE daemons ADD COLUMN process_mark VARCHAR(96) {EXACT}"
        " COMMENT 'by which its host knows whether it still runs'"
    )


def downgrade() -> None:
    op.drop_column("daemons", "process_mark")
