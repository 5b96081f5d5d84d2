"""Which import brought a lead.

The previous release still runs on the result: it does not ask for the new column.

Revision ID: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("leads", sa.Column("import_id", ID, nullable=True))
    op.create_index("ix_leads_import", "leads", ["import_id"])


def downgrade() -> None:
    op.drop_index("ix_leads_import", "leads")
    op.drop_column("leads", "import_id")
