"""How MariaDB or MySQL carries out every statement of the service, on a table of many rows.

    python benchmarks/plans.py --url mysql+pymysql://user:password@host/ [--rows 200000]

Dispatch, follow and upkeep run once on leads in every state, and each statement that they send is listened
to and explained with the values it had. Marked are those that read all of a large table or index.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import event, text

from benchmarks.cycle import AtOnce
from benchmarks.seeding import add_campaign, add_campaigns, add_leads, add_waiting, open_runtime
from benchmarks.ticks import FAR_AHEAD, own_database
from scheduler.events import SilentReporter
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialRequest,
    Phase,
    ProviderEvent,
    RefusalKind,
    Refused,
)
from scheduler.service.dispatch import Dispatcher
from scheduler.service.follow import Follower
from scheduler.service.inbox import Inbox
from scheduler.service.upkeep import Upkeep
from scheduler.store import totals
from scheduler.store.database import Connection, Database

CAPS = json.dumps({
    "windows": {"all": [["00:00", "24:00"]]},
    "caps": [{"max": 3, "per": {"days": 7}, "by": key} for key in ("phone", "lead", "debt")]
    + [{"max": 100_000, "per": {"hours": 24}, "by": key} for key in ("campaign", "group")],
})
MANY = 1_000
"""Rows read in full that are worth a mark."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="a MySQL or MariaDB server where databases may be made")
    parser.add_argument("--rows", type=int, default=200_000, help="pending rows (default 200000)")
    options = parser.parse_args()
    with own_database(options.url, "plans") as database:
        seed(database, options.rows)
        heard = listen(database)
        run_service(database)
        marked = sum(show(database, one) for one in heard.values())
    print(f"\n{len(heard)} statements, {marked} of them marked")
    sys.exit(1 if marked else 0)


@dataclass
class Heard:
    """A statement, by its text without values; the first values that it was sent with."""

    shape: str
    statement: str
    values: Any
    times: int = field(default=0)


def seed(database: Database, rows: int) -> None:
    """Waiting, due, paused, completed, closed and held rows, each in numbers that make a scan dear."""
    now = database.now()
    busy = add_campaign(database)
    resting = add_campaign(database, "benchmark-paused", status="paused")
    add_campaigns(database, [f"benchmark-{number}" for number in range(200)])
    add_waiting(database, busy, rows, first=0, at=now + timedelta(days=3))
    add_waiting(database, resting, rows // 4, first=rows, at=now - timedelta(days=1))
    add_leads(database, busy, 50, first=FAR_AHEAD)
    capped, broke = add_campaigns(database, ["benchmark-capped", "benchmark-broke"])
    add_leads(database, capped, 2_500, first=FAR_AHEAD + 100)
    add_leads(database, broke, 50, first=FAR_AHEAD + 5_000)
    account = "(SELECT id FROM accounts WHERE code = :code)"
    for statement, values in (
        ("DELETE FROM accounts WHERE code LIKE 'benchmark%'", {}),
        ("INSERT INTO accounts (code, name, billing_type, balance) VALUES ('benchmark', 'b', 'minutes', 100000)", {}),
        ("INSERT INTO accounts (code, name, billing_type, balance) VALUES ('benchmark-broke', 'b', 'minutes', 0)", {}),
        (f"UPDATE campaigns SET account_id = {account}, call_settings = :caps, group_name = 'b' WHERE id = :key",
         {"key": capped, "caps": CAPS, "code": "benchmark"}),
        (f"UPDATE campaigns SET account_id = {account} WHERE id = :key", {"key": broke, "code": "benchmark-broke"}),
        ("UPDATE leads SET priority = id % 5, variables = JSON_OBJECT('debt', id % 50) WHERE campaign_id = :key",
         {"key": capped}),
    ):
        database.transact(lambda connection: connection.execute(text(statement), values))  # noqa: B023
    history = add_campaign(database, "benchmark-history", status="completed")
    add_waiting(database, history, rows // 2, first=2 * rows, at=now - timedelta(days=5))
    old = {"key": history, "ago": (now - timedelta(days=5)).strftime("%Y-%m-%d %H:%M:%S")}
    ended = (
        "INSERT INTO call_attempts (attempt_ref, schedule_id, lead_id, campaign_id, attempt_number, telefono, provider,"
        " state, outcome, claimed_at, ended_at) SELECT UUID(), s.id, s.lead_id, s.campaign_id, 1, l.telefono,"
        " 'benchmark', 'ended', 'no_answer', :ago, :ago FROM call_schedule s JOIN leads l ON l.id = s.lead_id"
        " WHERE s.campaign_id = :key"
    )
    completed = "UPDATE call_schedule SET status = 'completed', last_outcome = 'no_answer' WHERE campaign_id = :key"
    closed = (
        "UPDATE leads SET lead_status = 'closed', closed_at = :ago, closed_reason = 'max_attempts'"
        " WHERE campaign_id = :key"
    )
    for statement in (ended, completed, closed):
        database.transact(lambda connection: connection.execute(text(statement), old))  # noqa: B023
    told = (
        "INSERT INTO provider_events (provider, event_key, kind, attempt_ref, received_at, processed_at, result)"
        " SELECT 'benchmark', CONCAT('old:', id), 'ended', attempt_ref, :ago, :ago, 'applied' FROM call_attempts"
        " WHERE campaign_id = :key"
    )
    database.transact(lambda connection: connection.execute(text(told), old))
    database.transact(lambda connection: connection.execute(
        text("ANALYZE TABLE leads, lead_phones, call_schedule, call_attempts, campaigns, provider_events")
    ))


def listen(database: Database) -> dict[str, Heard]:
    heard: dict[str, Heard] = {}

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if not re.match(r"\s*\(?(SELECT|UPDATE|DELETE)", statement):
            return
        one = heard.setdefault(shape := shape_of(statement), Heard(shape, statement, values[0] if many else values))
        one.times += 1

    return heard


def shape_of(statement: str) -> str:
    """The statement with its lists of values and its CASE arms cut short."""
    flat = " ".join(statement.split())
    flat = re.sub(r"(WHEN \S+ THEN \S+ ?)+", "WHEN .. THEN .. ", flat)
    flat = re.sub(r"\((\s*(%s|%\(\w+\)s|\d+|'[^']*'),?)+\)", "(..)", flat)
    parts = flat.split(" UNION ALL ")
    return parts[0] if len(parts) == 1 else f"{re.sub(r'[0-9]+', 'N', parts[0])} UNION ALL .."


def run_service(database: Database) -> None:
    """One life: calls that end later, at once, and an upkeep with something to do."""
    by_and_by = ByAndBy()
    runtime = open_runtime(database, by_and_by)
    reporter = SilentReporter()
    dispatcher = Dispatcher(runtime, owner="benchmark", reporter=reporter, places=50)
    follower = Follower(runtime, reporter=reporter)
    upkeep = Upkeep(runtime, owner="benchmark", reporter=reporter)
    dispatcher.run_once()
    dispatcher.drain()
    dispatcher.close()
    database.transact(lambda connection: connection.execute(
        text("UPDATE call_attempts SET next_poll_at = '2000-01-01' WHERE state = 'live'")
    ))
    tell(Inbox(runtime, reporter=reporter), database)
    dispatcher.watch_vitals()
    follower.run_once()
    database.transact(lambda connection: connection.execute(
        text("UPDATE leads SET lead_status = 'closed' WHERE lead_status = 'open' ORDER BY id DESC LIMIT 20")
    ))
    upkeep.run_once()
    ask_for_totals(database)
    upkeep.run_once()


def ask_for_totals(database: Database) -> None:
    """What screens poll."""
    day = timedelta(days=1)

    def ask(connection: Connection) -> None:
        now = database.now()
        account_id = connection.execute(text("SELECT id FROM accounts LIMIT 1")).scalar_one()
        totals.find_campaign(connection, "benchmark")
        totals.count_leads(connection, [1])
        totals.count_calls(connection, [1])
        totals.count_due(connection, [1], now)
        totals.count_created(connection, now - day)
        totals.read_hours(connection, now - day, None, account_id)
        totals.read_hours(connection, now - day, 1, None)

    database.read(ask)


def tell(inbox: Inbox, database: Database) -> None:
    """Events of live calls in every kind of order, and one about a call that nobody knows."""
    live = database.read(lambda connection: connection.execute(
        text("SELECT attempt_ref, provider_call_id FROM call_attempts WHERE state = 'live' ORDER BY id LIMIT 20")
    ).all())
    for kinds in (("answered", "ended"), ("analysed", "ended"), ("refused", "ended"), ("hint",)):
        for ref, call_id in live[:5]:
            inbox.keep("benchmark", [
                ProviderEvent(f"{kind}:{call_id}", kind, {}, attempt_ref=ref, call_id=call_id) for kind in kinds
            ])
        live = live[5:]
    inbox.keep("benchmark", [ProviderEvent("stranger", "ended", {}, call_id="of-nobody")])
    inbox.run_once()
    inbox.run_once()
    inbox.forget()


class ByAndBy(AtOnce):
    """Calls that are live first, and over when they are asked about."""

    waits = False

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        over = CallReport(call_id=event.call_id or "", phase=Phase.ENDED, outcome=Outcome.COMPLETED, is_final=False)
        return {
            "hint": None, "answered": CallReport(call_id=event.call_id or "", phase=Phase.ANSWERED), "ended": over,
            "analysed": replace(over, outcome=Outcome.VOICEMAIL, is_final=True),
            "refused": replace(over, outcome=None, refusal=Refused(RefusalKind.HOLD, "no credit")),
        }[event.kind]

    def place(self, request: DialRequest) -> Accepted:
        return Accepted(f"call-{next(self._numbers)}")

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        return {
            one.call_id: CallReport(call_id=one.call_id, phase=Phase.ENDED, outcome=Outcome.NO_ANSWER, ended_at=now)
            for one in calls if one.call_id
        }


def show(database: Database, one: Heard) -> bool:
    """Print one plan. Was it marked?"""
    asked = f"EXPLAIN FORMAT=TRADITIONAL {one.statement}"  # MySQL 9 draws trees where nothing is said
    rows = database.read(lambda connection: connection.exec_driver_sql(asked, one.values).mappings().all())
    reads_all = any(is_read_in_full(row) for row in rows)
    print(f"{'READS ALL ' if reads_all else ''}{one.times} x {one.shape[:300]}")
    for row in rows[:4]:
        print(f"      {row['select_type']} {row['table']}: {row['type']}, key {row['key']}, {row['rows']} rows,"
              f" {row['Extra']}")
    if len(rows) > 4:
        print(f"      and {len(rows) - 4} more of the kind")
    return reads_all


def is_read_in_full(row: Mapping[str, Any]) -> bool:
    """A scan, or a subquery that is worked out for all rows before the first is asked for."""
    way = row["type"] in ("ALL", "index") or row["select_type"] == "MATERIALIZED"
    return way and int(row["rows"] or 0) > MANY


if __name__ == "__main__":
    main()
