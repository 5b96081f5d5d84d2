"""The floor: what plain PyMySQL makes of the same row changes, in batches of 500, with durable commits.

    python benchmarks/floor.py --url mysql+pymysql://user:password@host/name --leads 20000

Same tables and indexes, same rows changed, same two transactions to a batch, and nothing else: no gate, no
calendar, no rules, no threads, no dial. Written as one would by hand: rows taken with SKIP LOCKED, inserts
of many rows to a statement, one UPDATE ... WHERE id IN where all rows get the same, and executemany only
for what differs from row to row (the provider's id of the call).
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pymysql
from sqlalchemy import make_url

from benchmarks.seeding import MARK, add_campaign, add_leads, count_done, prepared
from benchmarks.showing import add_url_options, run_and_show
from scheduler.errors import InvalidValue

BATCH = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=20_000)
    options = parser.parse_args()
    run_and_show(lambda: measure(options.url, options.leads, force=options.force), options)


def measure(url: str, leads: int, *, force: bool = False) -> dict[str, object]:
    """One run over `leads` leads. Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, force=force) as database:
        if database.is_sqlite:
            raise InvalidValue("--url", str(database), "the floor is of MySQL and MariaDB; give such a URL")
        campaign_id = add_campaign(database)
        add_leads(database, campaign_id, leads)
        connection = connect(url)
        started, cpu = time.perf_counter(), time.process_time()
        done = 0
        while taken := run_batch(connection, campaign_id):
            done += taken
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        connection.close()
        assert done == leads == count_done(database, campaign_id), f"{done} of {leads} leads went through their cycle"
        return {
            "cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu, 3), "leads": leads, "batch": BATCH, "url": str(database),
        }


def connect(url: str) -> pymysql.Connection:
    parsed = make_url(url)
    connection = pymysql.connect(
        host=parsed.host or "127.0.0.1", port=parsed.port or 3306, user=parsed.username or "",
        password=parsed.password or "", database=parsed.database, charset="utf8mb4",
        init_command="SET time_zone = '+00:00'",
    )
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return connection


def run_batch(connection: pymysql.Connection, campaign_id: int) -> int:
    """One batch of cycles in two transactions. Returns how many."""
    with connection.cursor() as cursor:
        taken = take(cursor, campaign_id)
        connection.commit()
        if taken:
            finish(cursor, campaign_id, taken)
            connection.commit()
        return len(taken)


def take(cursor: pymysql.cursors.Cursor, campaign_id: int) -> list[tuple[int, int, int, str]]:
    """Lease due rows and write the intents. Returns (schedule row, lead, attempt number, ref) of each."""
    now = datetime.now(UTC).replace(tzinfo=None)
    cursor.execute(
        "SELECT id, lead_id, attempt_number FROM call_schedule"
        " WHERE status = 'pending' AND campaign_id = %s AND scheduled_at <= %s"
        " ORDER BY scheduled_at, id LIMIT %s FOR UPDATE SKIP LOCKED",
        (campaign_id, now, BATCH),
    )
    rows = cursor.fetchall()
    if not rows:
        return []
    leads = [lead_id for _, lead_id, _ in rows]
    cursor.execute("SELECT id, telefono FROM leads WHERE id IN %s", (leads,))
    numbers = dict(cursor.fetchall())
    cursor.execute(
        "UPDATE call_schedule SET status = 'in_progress', lease_owner = %s, lease_token = %s, lease_expires_at = %s,"
        " updated_at = %s WHERE id IN %s AND status = 'pending'",
        ("floor", str(uuid.uuid4()), now + timedelta(minutes=1), now, [row_id for row_id, *_ in rows]),
    )
    taken = [(row_id, lead_id, number, str(uuid.uuid4())) for row_id, lead_id, number in rows]
    cursor.executemany(
        "INSERT INTO call_attempts (attempt_ref, schedule_id, lead_id, campaign_id, attempt_number, telefono, provider,"
        " state, claimed_at, dial_before, open_from, open_until)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 'placing', %s, %s, %s, %s)",
        [
            (ref, row_id, lead_id, campaign_id, number, numbers[lead_id], MARK, now, now + timedelta(seconds=10),
             now - timedelta(hours=1), now + timedelta(hours=1))
            for row_id, lead_id, number, ref in taken
        ],
    )
    cursor.execute("UPDATE leads SET call_status = 'selected', updated_at = %s WHERE id IN %s", (now, leads))
    write_steps(cursor, campaign_id, "dialed", "attempt 1, phone 1", taken, now)
    return taken


def write_steps(
    cursor: pymysql.cursors.Cursor, campaign_id: int, kind: str, reason: str,
    taken: list[tuple[int, int, int, str]], now: datetime,
) -> None:
    """The audit keeps each step of each lead, with the version of the rules that decided it."""
    cursor.executemany(
        "INSERT INTO events (at, kind, actor, lead_id, campaign_id, schedule_id, reason, rule_version)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [(now, kind, MARK, lead_id, campaign_id, row_id, reason, VERSION) for row_id, lead_id, _, _ in taken],
    )


VERSION = f"{'0' * 24}.{'0' * 24}.2026a"


def finish(cursor: pymysql.cursors.Cursor, campaign_id: int, taken: list[tuple[int, int, int, str]]) -> None:
    """Write what came of the calls, complete their rows and plan the next ones."""
    now = datetime.now(UTC).replace(tzinfo=None)
    reason = "attempt 2 of 3, 4 h after no_answer"
    cursor.executemany(
        "UPDATE call_attempts SET state = 'ended', outcome = 'no_answer', provider_status = 'no-answer',"
        " provider_call_id = %s, placed_at = %s, ended_at = %s WHERE attempt_ref = %s AND state = 'placing'",
        [(f"call-{ref}", now, now, ref) for _, _, _, ref in taken],
    )
    cursor.execute(
        "UPDATE call_schedule SET status = 'completed', last_outcome = 'no_answer', lease_owner = NULL,"
        " lease_token = NULL, lease_expires_at = NULL, updated_at = %s WHERE id IN %s AND status = 'in_progress'",
        (now, [row_id for row_id, *_ in taken]),
    )
    cursor.execute(
        "UPDATE leads SET call_status = 'no_answer', call_attempts_count = call_attempts_count + 1, updated_at = %s"
        " WHERE id IN %s",
        (now, [lead_id for _, lead_id, *_ in taken]),
    )
    cursor.executemany(
        "INSERT INTO call_schedule (lead_id, campaign_id, scheduled_at, attempt_number, phone_position, status, reason,"
        " created_at, updated_at) VALUES (%s, %s, %s, %s, 1, 'pending', %s, %s, %s)",
        [
            (lead_id, campaign_id, now + timedelta(hours=4), number + 1, reason, now, now)
            for _, lead_id, number, _ in taken
        ],
    )
    write_steps(cursor, campaign_id, "planned", f"no_answer; {reason}", taken, now)


if __name__ == "__main__":
    main()
