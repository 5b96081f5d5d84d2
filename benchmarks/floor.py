"""The floor: what plain PyMySQL makes of the same row changes, in batches of 500, with durable commits.

    python benchmarks/floor.py --url mysql+pymysql://user:password@host/name --leads 20000
    python benchmarks/floor.py --url ... --lean

Same rows changed, same two transactions to a batch, and nothing else: no gate, no calendar, no rules, no threads, no
dial. Written as one would by hand: rows taken with SKIP LOCKED, inserts of many rows to a statement, one UPDATE ...
WHERE id IN where all rows get the same, and executemany only for what differs from row to row (the provider's id of
the call). On our tables with all their indexes, or, `--lean`, on copies of them with their primary keys and the index
that the claim walks: what is between the two is what promises, pages and reports cost.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pymysql
from sqlalchemy import make_url

from benchmarks.seeding import MARK, add_campaign, add_leads, count_done, prepared
from benchmarks.showing import add_url_options, run_and_show
from scheduler.errors import InvalidValue

BATCH = 500
LEAN = "benchmark_lean_"
COPIED = ("leads", "call_schedule", "call_attempts", "events")
KEPT = ("PRIMARY", "ix_call_schedule_due")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_url_options(parser, leads=20_000)
    parser.add_argument("--lean", action="store_true", help="tables with primary keys and the claim's index alone")
    options = parser.parse_args()
    run_and_show(lambda: measure(options.url, options.leads, force=options.force, is_lean=options.lean), options)


def measure(url: str, leads: int, *, force: bool = False, is_lean: bool = False) -> dict[str, object]:
    """One run over `leads` leads. Raises NotOurs for a database that somebody else's leads live in."""
    with prepared(url, force=force) as database:
        if database.is_sqlite:
            raise InvalidValue("--url", str(database), "the floor is of MySQL and MariaDB; give such a URL")
        campaign_id = add_campaign(database)
        add_leads(database, campaign_id, leads)
        connection = connect(url)
        with lean_tables(connection, campaign_id) if is_lean else our_tables() as prefix:
            started, cpu = time.perf_counter(), time.process_time()
            done = 0
            while taken := run_batch(connection, campaign_id, prefix):
                done += taken
            seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
            found = count_done(database, campaign_id, prefix)
        connection.close()
        assert done == leads == found, f"{found} of {leads} leads went through their cycle"
        return {
            "cycles_per_second": round(leads / seconds, 1), "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu, 3), "leads": leads, "batch": BATCH, "lean": is_lean, "url": str(database),
        }


@contextmanager
def our_tables() -> Iterator[str]:
    yield ""


@contextmanager
def lean_tables(connection: pymysql.Connection, campaign_id: int) -> Iterator[str]:
    """Copies of our tables, their columns and rows, without what a bare table does not need. Gone at the end."""
    with connection.cursor() as cursor:
        for table in COPIED:
            cursor.execute(f"DROP TABLE IF EXISTS {LEAN}{table}")
            cursor.execute(f"CREATE TABLE {LEAN}{table} LIKE {table}")
            # A column that follows from others may be part of an index, which must go first.
            for what, names in (("INDEX", _indexes(cursor, table)), ("COLUMN", _computed(cursor, table))):
                for name in names:
                    cursor.execute(f"ALTER TABLE {LEAN}{table} DROP {what} {name}")
        for table in ("leads", "call_schedule"):
            cursor.execute(f"SHOW COLUMNS FROM {LEAN}{table}")
            columns = ", ".join(f"`{row[0]}`" for row in cursor.fetchall())
            cursor.execute(
                f"INSERT INTO {LEAN}{table} ({columns}) SELECT {columns} FROM {table} WHERE campaign_id = %s",
                (campaign_id,),
            )
    connection.commit()
    try:
        yield LEAN
    finally:
        with connection.cursor() as cursor:
            for table in COPIED:
                cursor.execute(f"DROP TABLE IF EXISTS {LEAN}{table}")


def _indexes(cursor: pymysql.cursors.Cursor, table: str) -> list[str]:
    cursor.execute(f"SHOW INDEX FROM {LEAN}{table}")
    return sorted({row[2] for row in cursor.fetchall()} - set(KEPT))


def _computed(cursor: pymysql.cursors.Cursor, table: str) -> list[str]:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s"
        " AND generation_expression <> ''",
        (f"{LEAN}{table}",),
    )
    return [row[0] for row in cursor.fetchall()]


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


def run_batch(connection: pymysql.Connection, campaign_id: int, prefix: str = "") -> int:
    """One batch of cycles in two transactions. Returns how many."""
    with connection.cursor() as cursor:
        taken = take(cursor, campaign_id, prefix)
        connection.commit()
        if taken:
            finish(cursor, campaign_id, taken, prefix)
            connection.commit()
        return len(taken)


def take(cursor: pymysql.cursors.Cursor, campaign_id: int, prefix: str) -> list[Taken]:
    """Lease due rows and write the intents."""
    now = datetime.now(UTC).replace(tzinfo=None)
    cursor.execute(
        f"SELECT id, lead_id, attempt_number FROM {prefix}call_schedule"
        " WHERE status = 'pending' AND campaign_id = %s AND scheduled_at <= %s"
        " ORDER BY scheduled_at, id LIMIT %s FOR UPDATE SKIP LOCKED",
        (campaign_id, now, BATCH),
    )
    rows = cursor.fetchall()
    if not rows:
        return []
    leads = [lead_id for _, lead_id, _ in rows]
    cursor.execute(f"SELECT id, telefono FROM {prefix}leads WHERE id IN %s", (leads,))
    numbers = dict(cursor.fetchall())
    cursor.execute(
        f"UPDATE {prefix}call_schedule SET status = 'in_progress', lease_owner = %s, lease_token = %s,"
        " lease_expires_at = %s, updated_at = %s WHERE id IN %s AND status = 'pending'",
        ("floor", str(uuid.uuid4()), now + timedelta(minutes=1), now, [row_id for row_id, *_ in rows]),
    )
    cursor.executemany(
        f"INSERT INTO {prefix}call_attempts (attempt_ref, schedule_id, lead_id, campaign_id, attempt_number, telefono,"
        " provider, state, claimed_at, dial_before, open_from, open_until, claimed_by, rule_version)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (str(uuid.uuid4()), row_id, lead_id, campaign_id, number, numbers[lead_id], MARK, "placing", now,
             now + timedelta(seconds=10), now - timedelta(hours=1), now + timedelta(hours=1), MARK, VERSION)
            for row_id, lead_id, number in rows
        ],
    )
    # The driver makes one statement of many rows only where every value is a mark.
    first = cursor.lastrowid  # one statement that says how many rows it has: its ids follow one another
    cursor.execute(f"UPDATE {prefix}leads SET call_status = 'selected', updated_at = %s WHERE id IN %s", (now, leads))
    return [(*row, first + place) for place, row in enumerate(rows)]


Taken = tuple[int, int, int, int]
"""Schedule row, lead, attempt number, attempt."""


def write_steps(
    cursor: pymysql.cursors.Cursor, campaign_id: int, kind: str, reason: str, taken: list[Taken], now: datetime,
    prefix: str,
) -> None:
    """The audit keeps what followed each call, with the version of the rules that decided it."""
    cursor.executemany(
        f"INSERT INTO {prefix}events (at, kind, actor, lead_id, campaign_id, schedule_id, attempt_id, reason,"
        " rule_version) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (now, kind, MARK, lead_id, campaign_id, row_id, attempt_id, reason, VERSION)
            for row_id, lead_id, _, attempt_id in taken
        ],
    )


VERSION = f"{'0' * 24}.{'0' * 24}.2026a"


def finish(cursor: pymysql.cursors.Cursor, campaign_id: int, taken: list[Taken], prefix: str) -> None:
    """Write what came of the calls, complete their rows and plan the next ones."""
    now = datetime.now(UTC).replace(tzinfo=None)
    reason = "attempt 2 of 3, 4 h after no_answer"
    cursor.executemany(
        f"UPDATE {prefix}call_attempts SET state = 'ended', outcome = 'no_answer', provider_status = 'no-answer',"
        " provider_call_id = %s, placed_at = %s, ended_at = %s WHERE id = %s AND state = 'placing'",
        [(f"call-{time.time_ns()}-{key}", now, now, key) for *_, key in taken],
    )
    cursor.execute(
        f"UPDATE {prefix}call_schedule SET status = 'completed', last_outcome = 'no_answer', lease_owner = NULL,"
        " lease_token = NULL, lease_expires_at = NULL, updated_at = %s WHERE id IN %s AND status = 'in_progress'",
        (now, [row_id for row_id, *_ in taken]),
    )
    cursor.execute(
        f"UPDATE {prefix}leads SET call_status = 'no_answer', call_attempts_count = call_attempts_count + 1,"
        " updated_at = %s WHERE id IN %s",
        (now, [lead_id for _, lead_id, *_ in taken]),
    )
    cursor.executemany(
        f"INSERT INTO {prefix}call_schedule (lead_id, campaign_id, scheduled_at, attempt_number, phone_position,"
        " status, reason, created_at, updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (lead_id, campaign_id, now + timedelta(hours=4), number + 1, 1, "pending", reason, now, now)
            for _, lead_id, number, _ in taken
        ],
    )
    write_steps(cursor, campaign_id, "planned", f"no_answer; {reason}", taken, now, prefix)


if __name__ == "__main__":
    main()
