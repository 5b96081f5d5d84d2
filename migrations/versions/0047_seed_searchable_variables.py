"""Which variables leads are found by: none, until a team names some.

The previous release warns of a row that it does not know, and goes on.

Revision ID: 0047
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

KEY = "searchable_variables"
CONFIG = sa.table("scheduler_config", sa.column("config_key"), sa.column("config_value"), sa.column("description"))


def upgrade() -> None:
    known = op.get_bind().execute(sa.select(CONFIG.c.config_key).where(CONFIG.c.config_key == KEY)).first()
    if known is None:
        words = "Variables of leads that a search looks in too, e.g. rut,contract; up to 8"
        op.bulk_insert(CONFIG, [{"config_key": KEY, "config_value": "", "description": words}])


def downgrade() -> None:
    pass  # it says what a team chose
