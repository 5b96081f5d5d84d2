"""What people ask of a running daemon, and what it answers.

The previous release still runs on the result: it does not ask for the new columns.

Revision ID: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("daemons") as daemons:
        daemons.add_column(
            sa.Column(
                "wanted",
                sa.Enum("run", "pause", "drain", name="daemon_wanted", create_constraint=True),
                nullable=False,
                server_default="run",
            )
        )
        daemons.add_column(
            sa.Column(
                "doing",
                sa.Enum("working", "paused", "draining", name="daemon_doing", create_constraint=True),
                nullable=False,
                server_default="working",
            )
        )


def downgrade() -> None:
    with op.batch_alter_table("daemons") as daemons:
        if op.get_bind().dialect.name == "sqlite":
            daemons.drop_constraint(op.f("ck_daemons_daemon_doing"), type_="check")
            daemons.drop_constraint(op.f("ck_daemons_daemon_wanted"), type_="check")
        daemons.drop_column("doing")
        daemons.drop_column("wanted")
