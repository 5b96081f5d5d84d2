"""What the campaigns of an account use now its keys may go on using; anything else somebody has to allow.

The previous release still runs on the result: it asks for none of this.

Revision ID: 0057
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from scheduler.store import tables

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

LISTED = tables.account_allowances
CAMPAIGNS = sa.text(
    "SELECT id, account_id, provider, group_name, priority, call_settings FROM campaigns"
    " WHERE account_id IS NOT NULL AND status <> 'cancelled' AND id > :after ORDER BY id LIMIT 1000"
)


def upgrade() -> None:
    connection = op.get_bind()
    used: set[tuple[int, str, str]] = set()
    highest: dict[int, int] = {}
    everywhere: set[int] = set()
    after = 0
    while rows := connection.execute(CAMPAIGNS, {"after": after}).all():
        after = rows[-1].id
        for row in rows:
            document = _read(row.call_settings)
            found = [("provider", row.provider), ("group", row.group_name), ("agent", document.get("agent_id")),
                     ("caller_id", document.get("from_number"))]
            countries = document.get("allowed_countries")
            countries = [countries] if isinstance(countries, str) else countries
            if isinstance(countries, list) and countries:
                found += [("country", one.strip().upper()) for one in countries if isinstance(one, str)]
            else:
                everywhere.add(row.account_id)
            used |= {
                (row.account_id, kind, value) for kind, value in found
                if isinstance(value, str) and 0 < len(value) <= 191
            }
            if isinstance(row.priority, int):
                highest[row.account_id] = max(highest.get(row.account_id, 0), row.priority)
    used |= {(account, "priority", str(most)) for account, most in highest.items() if most > 0}
    # Where one campaign names no country, the account may call wherever the installation does.
    used = {one for one in used if one[1] != "country" or one[0] not in everywhere}
    known = sa.select(LISTED.c.account_id, LISTED.c.kind, LISTED.c.value)
    used -= {(row.account_id, row.kind, row.value) for row in connection.execute(known)}
    for account, kind, value in sorted(used):
        connection.execute(LISTED.insert().values(account_id=account, kind=kind, value=value))


def _read(text: Any) -> dict[str, Any]:
    try:
        document = json.loads(text) if isinstance(text, str | bytes) else text
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def downgrade() -> None:
    op.get_bind().execute(sa.text("DELETE FROM account_allowances"))
