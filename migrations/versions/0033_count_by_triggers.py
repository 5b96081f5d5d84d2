"""Triggers count what changes, whoever changes it, and what is there already is counted once.

Each change that counts adds rows to `campaign_changes`: what is true of the new row less what was true of the old
one. First the triggers are made, then everything is counted in one snapshot, less the changes that the triggers
have noted until then; calls may go on meanwhile, also by the previous release, which does not know these tables.
May be run again after it was cut off: MySQL and MariaDB keep the triggers of a half upgrade, and they are made anew.

SQLite drops the triggers of a table that is made anew, as Alembic's batch mode does it: a later migration that
uses it on `leads`, `call_schedule` or `call_attempts` must make these triggers again. TRUNCATE fires no trigger,
and neither does what REPLACE deletes on SQLite: `ringback db recount` counts again after that.

Revision ID: 0033
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

PAGE = 250_000
AT_ONCE = 500
FIGURES = (
    "leads", "open", "suspended", "called", "reached", "unreached", "unpaid", "dials", "answered", "completed",
    "talk_seconds", "cost",
)  # fmt: skip

QUARTER_ON_MYSQL = "(UNIX_TIMESTAMP({at}) DIV 900)"
# Microseconds are cut off, because strftime would round them up. What a person typed may be anything, also `now`.
QUARTER_ON_SQLITE = (
    "(CASE WHEN {at} LIKE '____-__-__ __:__:__.______%'"
    " THEN CAST(strftime('%s', substr({at}, 1, 19) || substr({at}, 27)) AS INTEGER) / 900"
    " WHEN {at} LIKE '____-__-__%' THEN CAST(strftime('%s', {at}) AS INTEGER) / 900 END)"
)


@dataclass(frozen=True)
class Counted:
    """A table that counts. `{x}` is a row of it, and `{q}` what makes an instant a quarter of an hour since 1970."""

    table: str
    figures: dict[str, str]
    counts: str = ""
    """Does this row count at all? Empty: every row does."""
    instant: str = ""
    """When what it counts was; empty: it belongs to no hour."""
    columns: tuple[str, ...] = field(default=())
    """What the above depend on, beside the campaign."""
    of_quarter: tuple[str, ...] = field(default=())
    """Of these columns those by which the quarter changes."""


IS_CLOSED = "COALESCE({x}.lead_status = 'closed', 0)"
REACHED = "COALESCE({x}.closed_reason, '') IN ('completed', 'appointment')"
TABLES = (
    Counted(
        "leads",
        {
            "leads": "1",
            "open": "({x}.lead_status IS NULL OR {x}.lead_status = 'open')",
            "suspended": "COALESCE({x}.lead_status = 'suspended', 0)",
            "called": "({x}.call_attempts_count > 0)",
            "reached": f"({IS_CLOSED} AND {REACHED})",
            "unreached": f"({IS_CLOSED} AND NOT {REACHED})",
        },
        instant="{x}.created_at",
        columns=("lead_status", "closed_reason", "created_at"),
        of_quarter=("created_at",),
    ),
    Counted(
        "call_schedule",
        {"unpaid": "1"},
        counts=(
            "({x}.status = 'pending' AND (COALESCE({x}.reason, '') LIKE 'no balance%'"
            " OR COALESCE({x}.reason, '') LIKE 'account % is closed%'))"
        ),
        columns=("status", "reason"),
    ),
    Counted(
        "call_attempts",
        {
            "dials": "1",
            "answered": "(COALESCE({x}.outcome, '') IN ('completed', 'callback', 'do_not_call', 'hang_up'))",
            "completed": "(COALESCE({x}.outcome, '') = 'completed')",
            "talk_seconds": "COALESCE({x}.talk_seconds, 0)",
            "cost": "COALESCE({x}.cost, 0)",
        },
        counts="({x}.state = 'ended')",
        instant="COALESCE({x}.placed_at, {x}.claimed_at, {x}.ended_at)",
        columns=("state", "outcome", "talk_seconds", "cost", "placed_at", "claimed_at", "ended_at"),
        of_quarter=("placed_at", "claimed_at", "ended_at"),
    ),
)


def upgrade() -> None:
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    for one in TABLES:
        for name, statement in (_on_sqlite(one) if is_sqlite else _on_mysql(one)).items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(f"CREATE TRIGGER {name} {statement}".replace("%", "%" if is_sqlite else "%%"))
    # Nothing folds before this is through: what is here was left by a downgrade.
    for table in ("campaign_totals", "campaign_hours"):
        connection.exec_driver_sql(f"DELETE FROM {table}")
    if not is_sqlite:
        # What each statement below sees is what was committed when this begins, and no row is locked.
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    _fill(connection)


def downgrade() -> None:
    connection = op.get_bind()
    for one in TABLES:
        for name in (_on_sqlite(one) if connection.dialect.name == "sqlite" else _on_mysql(one)):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
    for table in ("campaign_changes", "campaign_totals", "campaign_hours"):
        connection.exec_driver_sql(f"DELETE FROM {table}")


# --- triggers -----------------------------------------------------------------------------------


def _on_mysql(one: Counted) -> dict[str, str]:
    """Name and text of each trigger. The first question is the cheapest: most changes count nothing."""
    quarter = QUARTER_ON_MYSQL
    is_same = " AND ".join(f"NEW.{name} <=> OLD.{name}" for name in ("campaign_id", *one.columns))
    if "called" in one.figures:
        is_same += " AND (NEW.call_attempts_count > 0) = (OLD.call_attempts_count > 0)"
    both = " AND ".join([
        *(one.counts.format(x=x) for x in ("OLD", "NEW") if one.counts),
        *(f"NEW.{name} <=> OLD.{name}" for name in ("campaign_id", *one.of_quarter)),
    ])
    added, removed = (
        f"IF {one.counts.format(x=x)} THEN {_insert(one, quarter, x, sign)}; END IF" if one.counts else
        _insert(one, quarter, x, sign)
        for x, sign in (("NEW", "0 +"), ("OLD", "0 -"))
    )  # fmt: skip
    differ = _insert_difference(one, quarter)
    # An import adds rows by the thousand and counts them itself, by one row, in the same transaction. Only what
    # carries its number is left to it: a variable that stays set does no harm.
    inserted = f"IF COALESCE(NEW.import_id = @ringback_import, 0) = 0 THEN {added}; END IF" if (
        one.table == "leads"
    ) else added
    return {
        f"count_{one.table}_insert": f"AFTER INSERT ON {one.table} FOR EACH ROW BEGIN {inserted}; END",
        f"count_{one.table}_update": (
            f"AFTER UPDATE ON {one.table} FOR EACH ROW BEGIN IF NOT ({is_same}) THEN"
            f" IF {both} THEN {differ}; ELSE {removed}; {added}; END IF; END IF; END"
        ),
        f"count_{one.table}_delete": f"AFTER DELETE ON {one.table} FOR EACH ROW BEGIN {removed}; END",
    }


def _on_sqlite(one: Counted) -> dict[str, str]:
    quarter = QUARTER_ON_SQLITE
    old, new = (one.counts.format(x=x) or "1" for x in ("OLD", "NEW"))
    both = " AND ".join([old, new, *(f"NEW.{name} IS OLD.{name}" for name in ("campaign_id", *one.of_quarter))])
    columns = ("campaign_id", *one.columns, *(["call_attempts_count"] if "called" in one.figures else []))
    is_changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in columns)
    update = f"AFTER UPDATE OF {', '.join(columns)} ON {one.table}"
    added, removed = _insert(one, quarter, "NEW", "0 +"), _insert(one, quarter, "OLD", "0 -")
    return {
        f"count_{one.table}_insert": f"AFTER INSERT ON {one.table} WHEN {new} BEGIN {added}; END",
        f"count_{one.table}_update": (
            f"{update} WHEN ({is_changed}) AND {both} BEGIN {_insert_difference(one, quarter)}; END"
        ),
        f"count_{one.table}_update_from": f"{update} WHEN {old} AND NOT ({both}) BEGIN {removed}; END",
        f"count_{one.table}_update_to": f"{update} WHEN {new} AND NOT ({both}) BEGIN {added}; END",
        f"count_{one.table}_delete": f"AFTER DELETE ON {one.table} WHEN {old} BEGIN {removed}; END",
    }


def _insert(one: Counted, quarter: str, x: str, sign: str) -> str:
    values = [f"{sign} {expression.format(x=x)}" for expression in one.figures.values()]
    return _into(one, quarter, x, values)


def _insert_difference(one: Counted, quarter: str) -> str:
    values = [f"{text.format(x='NEW')} - {text.format(x='OLD')}" for text in one.figures.values()]
    return _into(one, quarter, "NEW", values)


def _into(one: Counted, quarter: str, x: str, values: list[str]) -> str:
    at = quarter.format(at=one.instant.format(x=x)) if one.instant else "NULL"
    return (
        f"INSERT INTO campaign_changes (campaign_id, quarter, {', '.join(one.figures)})"
        f" VALUES (COALESCE({x}.campaign_id, 0), {at}, {', '.join(values)})"
    )


# --- what is there already ----------------------------------------------------------------------


def _fill(connection: sa.Connection) -> None:
    """Add what everything amounts to, less what the triggers have noted."""
    counted: dict[tuple[int, int | None], dict[str, Any]] = {}
    for names, rows in _count(connection):
        for campaign_id, quarter, *values in rows:
            figures = counted.setdefault((campaign_id, quarter), {})
            for name, value in zip(names, values, strict=True):
                figures[name] = figures.get(name, 0) + _number(value)
    noted = connection.exec_driver_sql(
        f"SELECT campaign_id, quarter, {', '.join(f'SUM({name})' for name in FIGURES)} FROM campaign_changes"
        " GROUP BY campaign_id, quarter"
    )
    for campaign_id, quarter, *values in noted:
        figures = counted.setdefault((campaign_id, quarter), {})
        for name, value in zip(FIGURES, values, strict=True):
            figures[name] = figures.get(name, 0) - _number(value)
    rows = [
        f"({campaign_id}, {'NULL' if quarter is None else quarter}, "
        f"{', '.join(str(figures.get(name, 0)) for name in FIGURES)})"
        for (campaign_id, quarter), figures in counted.items() if any(figures.values())
    ]
    for start in range(0, len(rows), AT_ONCE):
        connection.exec_driver_sql(
            f"INSERT INTO campaign_changes (campaign_id, quarter, {', '.join(FIGURES)})"
            f" VALUES {', '.join(rows[start : start + AT_ONCE])}"
        )


def _count(connection: sa.Connection) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(figures, rows of campaign, quarter and these figures), page by page: of millions one statement takes long."""
    is_sqlite = connection.dialect.name == "sqlite"
    quarter = QUARTER_ON_SQLITE if is_sqlite else QUARTER_ON_MYSQL
    for one in TABLES:
        at = quarter.format(at=one.instant.format(x="x")) if one.instant else "NULL"
        sums = ", ".join(f"SUM({text.format(x='x')})" for text in one.figures.values())
        counts = one.counts.format(x="x") or "1 = 1"
        after = connection.exec_driver_sql(f"SELECT MIN(id) FROM {one.table}").scalar()
        while after is not None:
            until = connection.exec_driver_sql(
                f"SELECT id FROM {one.table} WHERE id >= {after} ORDER BY id LIMIT 1 OFFSET {PAGE}"
            ).scalar()
            within = f"x.id >= {after}" + ("" if until is None else f" AND x.id < {until}")
            statement = (
                f"SELECT COALESCE(x.campaign_id, 0), {at}, {sums} FROM {one.table} x WHERE {within} AND {counts}"
                " GROUP BY 1, 2"
            )
            rows = connection.exec_driver_sql(statement if is_sqlite else statement.replace("%", "%%"))
            yield tuple(one.figures), rows
            after = until


def _number(value: Any) -> int | Decimal:
    found = Decimal(str(value or 0))
    return int(found) if found == found.to_integral_value() else round(found, 4)
