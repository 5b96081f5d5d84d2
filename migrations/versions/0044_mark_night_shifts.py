"""Campaigns whose hours go on past midnight say that they are meant: `overnight`.

Until now a span like 20:00-09:00 was taken for a night without a word. Those that are there keep working. The previous
release does not know the setting: it keeps the last settings of such a campaign that it could read.

Revision ID: 0044
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

CAMPAIGNS = sa.table("campaigns", sa.column("id"), sa.column("call_settings", sa.Text))


def upgrade() -> None:
    for campaign_id, settings in _settings():
        if "overnight" not in settings and _goes_past_midnight(settings.get("windows")):
            _write(campaign_id, {**settings, "overnight": True})


def downgrade() -> None:
    for campaign_id, settings in _settings():
        if "overnight" in settings:
            _write(campaign_id, {name: value for name, value in settings.items() if name != "overnight"})


def _settings():
    c = CAMPAIGNS.c
    rows = op.get_bind().execute(sa.select(c.id, c.call_settings).where(c.call_settings.is_not(None))).all()
    for campaign_id, text in rows:
        try:
            found = json.loads(text)
        except ValueError:
            continue  # nobody can use it, and `ringback check` says so
        if isinstance(found, dict):
            yield campaign_id, found


def _write(campaign_id, settings):
    c = CAMPAIGNS.c
    op.get_bind().execute(
        sa.update(CAMPAIGNS).where(c.id == campaign_id).values(
            call_settings=json.dumps(settings, ensure_ascii=False)
        )
    )


def _goes_past_midnight(windows):
    days = windows.values() if isinstance(windows, dict) else ()
    spans = [span for one in days if isinstance(one, list) for span in one]
    return any(_ends_after_midnight(*span) for span in spans if isinstance(span, list) and len(span) == 2)


def _ends_after_midnight(start, end):
    begins, ends = _seconds(start), _seconds(end)
    return begins is not None and ends is not None and 0 < ends <= begins


def _seconds(text):
    try:
        hours, minutes, seconds = ([int(part) for part in text.split(":")] + [0])[:3]
    except (AttributeError, ValueError):
        return None
    return hours * 3600 + minutes * 60 + seconds
