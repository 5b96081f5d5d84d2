"""An empty step. It once made triggers that counted into the tables of 0031, and counted what was there.

A server with a binary log lets only a privileged user make triggers, and what they kept is counted when it is asked
for now. The number stays, because databases stand at it; 0034 takes away what it made in them.

Revision ID: 0033
"""

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
