"""Each file of leads that was imported, so that it can be listed and taken back.

The previous release still runs on the result: the table is new.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("campaign_id", ID, nullable=True),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=True),
        sa.Column(
            "status",
            sa.Enum("running", "done", "failed", "undone", name="import_status", create_constraint=True),
            nullable=False,
            server_default="running",
        ),
        sa.Column("rows_read", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("added", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("duplicates", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("rejected", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("taken_back", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("actor", sa.String(length=96), nullable=False, server_default="cli"),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.Column("created_at", tables.UTCDateTime(), nullable=False, server_default=tables.PresentInstant()),
        sa.Column("finished_at", tables.UTCDateTime(), nullable=True),
        sa.Column("undone_at", tables.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
    )
    op.create_index("ix_imports_campaign", "imports", ["campaign_id", "id"])


def downgrade() -> None:
    op.drop_table("imports")
