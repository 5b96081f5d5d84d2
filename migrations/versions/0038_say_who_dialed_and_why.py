"""An attempt says which daemon dialed it and by which rules, so that a dial needs no second row in `events`.

The previous release still runs on the result: it leaves the columns empty and notes its dials in `events`.

Revision ID: 0038
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

EXACT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


def upgrade() -> None:
    if "rule_version" in {one["name"] for one in sa.inspect(op.get_bind()).get_columns("call_attempts")}:
        return  # an upgrade that was cut off here may be run again
    if op.get_bind().dialect.name == "sqlite":
        op.add_column("call_attempts", sa.Column("claimed_by", sa.String(96)))
        op.add_column("call_attempts", sa.Column("rule_version", sa.String(64)))
        return
    op.execute(
        f"ALTER TABLE call_attempts ADD COLUMN claimed_by VARCHAR(96) {EXACT} COMMENT 'the daemon that dialed it',"
        f" ADD COLUMN rule_version VARCHAR(64) {EXACT}"
        " COMMENT 'rule_versions.fingerprint of the rules that let it through'"
    )


def downgrade() -> None:
    for column in ("rule_version", "claimed_by"):
        op.drop_column("call_attempts", column)
