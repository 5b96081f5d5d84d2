"""Settings for stopping everything, for the countries that may be called, and for alerts.

The previous release still runs on the result: it names the keys as unknown and does not read them.

Revision ID: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

SEEDS = [
    ("paused", "no", "yes: nobody is called at all, see ringback campaigns pause-all"),
    ("allowed_countries", "", "Countries that may be called, e.g. CL,AR; empty: any that is known"),
    ("alert_pending_above", "1000", "Alert: so many calls are due while lines are idle"),
    ("alert_success_below", "0", "Alert: fewer percent of a day's calls reach somebody (0: never)"),
    ("alert_due_minutes", "15", "Alert: a paused or held campaign has calls due for so many minutes"),
    ("alert_balance_below", "0", "Alert: less is left in an account that names no low_balance of its own (0: never)"),
    ("alert_silent_seconds", "60", "Alert: a daemon has said nothing for so many seconds"),
]


def upgrade() -> None:
    config = sa.table(
        "scheduler_config", sa.column("config_key"), sa.column("config_value"), sa.column("description")
    )
    known = {row[0] for row in op.get_bind().execute(sa.select(config.c.config_key))}
    op.bulk_insert(
        config,
        [
            {"config_key": key, "config_value": value, "description": words}
            for key, value, words in SEEDS
            if key not in known
        ],
    )


def downgrade() -> None:
    config = sa.table("scheduler_config", sa.column("config_key"))
    op.execute(config.delete().where(config.c.config_key.in_([key for key, _, _ in SEEDS])))
