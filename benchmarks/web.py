"""What the web application costs on tables of millions, as ratios to the cheapest request that there is.

    python benchmarks/web.py --url mysql+pymysql://user:password@host/ [--rows 5000000] [--campaigns 1000]

A database is made there and filled. Then the real application serves it from a process of its own, with one more
route: a lead's id by its primary key, asked for with the same access. That lookup, the status of a campaign and the
overview are asked for every five seconds for two minutes (median, worst, and how old the figures are), and then in
turn over one connection as fast as it goes; every page is asked for once it has settled, and its statements
are counted; 200 event streams are open while leads and calls change, and the server's CPU time is read.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fastapi import FastAPI
from sqlalchemy import event, func, select, text

from benchmarks.seeding import ALWAYS_OPEN, FIRST_NUMBER, MARK
from benchmarks.showing import progress
from benchmarks.ticks import own_database
from scheduler.config import read_settings
from scheduler.service.runtime import open_runtime
from scheduler.store import tables
from scheduler.store.database import Connection, Database
from scheduler.web.access import Reader, RuntimeOf
from scheduler.web.server import WebServer

ROOT = Path(__file__).resolve().parent.parent
BASE = 5_000
"""Leads that are written one by one; the others are copies of them."""
IN_BIGGEST = 5
"""Of so many leads one belongs to the biggest campaign: a million of five."""
AT_ONCE = 250_000
ROUNDS, WARM = 300, 30
POLL_EVERY, POLL_SECONDS = 5.0, 120.0
STREAMS, STREAM_SECONDS = 200, 20
SLOWEST = 12
"""Addresses that are named while it runs, with the statements that take their time."""
WORKER = "AnyIO worker thread"
"""Where requests are answered; the threads that tidy have other names."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a MySQL or MariaDB server where databases may be made")
    parser.add_argument("--rows", type=int, default=5_000_000, help="leads and rows of the plan (default 5000000)")
    parser.add_argument("--campaigns", type=int, default=1_000, help="campaigns (default 1000)")
    parser.add_argument("--filled", metavar="URL", help="poll a database that this has filled before, and nothing else")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.filled:
        with serving(options.filled) as server:
            figures = measure_polls(server, options.rows)
    elif options.url:
        figures = measure(options.url, options.rows, options.campaigns)
    else:
        parser.error("--url is missing")
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:34} {value}")


def measure(url: str, rows: int, campaigns: int) -> dict[str, Any]:
    with own_database(url, "web") as database:
        figures: dict[str, Any] = {"rows": rows, "campaigns": campaigns}
        figures |= fill(database, rows, campaigns)
        address = database.url.render_as_string(hide_password=False)
        with serving(address) as server:
            figures |= measure_polls(server, rows)
            figures |= measure_ratios(server, rows)
            figures |= measure_pages(server)
            figures |= measure_streams(server, database)
        return figures


# --- rows ---------------------------------------------------------------------------------------


def fill(database: Database, rows: int, campaigns: int) -> dict[str, Any]:
    progress(f"  making {rows:,} leads in {campaigns:,} campaigns ...")
    began = time.perf_counter()
    _add_campaigns(database, campaigns)
    _add_leads(database, rows, campaigns)
    return {"fill_seconds": round(time.perf_counter() - began, 1)}


def _add_campaigns(database: Database, many: int) -> None:
    """Half of them belong to one account; one in ten is paused."""
    accounts = [{"code": f"{MARK}-{number}", "name": f"Account {number}"} for number in range(10)]

    def work(connection: Connection) -> None:
        connection.execute(tables.accounts.insert(), accounts)
        ids = list(connection.execute(select(tables.accounts.c.id)).scalars())
        connection.execute(
            tables.campaigns.insert(),
            [
                {
                    "code": f"{MARK}-{number}", "name": f"Campaign {number}", "provider": MARK,
                    "account_id": ids[0] if number % 2 == 0 else ids[1 + number % 9],
                    "status": "paused" if number % 10 == 9 else "active", "call_settings": json.loads(ALWAYS_OPEN),
                }
                for number in range(many)
            ],
        )  # fmt: skip

    database.transact(work)


def _add_leads(database: Database, rows: int, campaigns: int) -> None:
    ids = list(database.read(lambda connection: connection.execute(select(tables.campaigns.c.id)).scalars().all()))
    small = ids[1:] or ids

    def lead(number: int) -> dict[str, Any]:
        status, why = {3: ("closed", "completed"), 4: ("closed", "max_attempts"), 5: ("suspended", None)}.get(
            number // 7 % 10, ("open", None)
        )
        return {
            "campaign_id": ids[0] if number % IN_BIGGEST == 0 else small[number % len(small)], "nombre": "Ana",
            "apellidos": "Rojas", "telefono": f"+{FIRST_NUMBER + number}", "lead_status": status,
            "closed_reason": why, "call_attempts_count": 1,
        }  # fmt: skip

    base = min(BASE, rows)
    database.transact(lambda connection: connection.execute(tables.leads.insert(), [lead(one) for one in range(base)]))
    copied = base
    while copied < rows:
        more = min(copied, AT_ONCE, rows - copied)
        _run(
            database,
            "INSERT INTO leads (campaign_id, nombre, apellidos, telefono, lead_status, closed_reason,"
            " call_attempts_count, created_at) SELECT campaign_id, nombre, apellidos,"
            f" CONCAT('+', CAST(SUBSTR(telefono, 2) AS UNSIGNED) + {copied}), lead_status, closed_reason,"
            f" call_attempts_count, NOW() - INTERVAL (id * 7 % 72) HOUR FROM leads ORDER BY id LIMIT {more}",
        )
        copied += more
    ends = select(func.min(tables.leads.c.id), func.max(tables.leads.c.id))
    first, last = database.read(lambda connection: connection.execute(ends).one())
    for low in range(first, last + 1, AT_ONCE):
        _run(
            database,
            "INSERT INTO call_schedule (lead_id, campaign_id, scheduled_at, phone_position, status, last_outcome,"
            " reason) SELECT id, campaign_id, NOW() + INTERVAL (id % 5000 - 1000) MINUTE, 1,"
            " IF(lead_status = 'closed', 'completed', 'pending'), IF(lead_status = 'closed', 'no_answer', NULL),"
            " IF(id % 50 = 7, 'no balance: account a cannot pay for another call; top it up', 'imported')"
            f" FROM leads WHERE id >= {low} AND id < {low + AT_ONCE}",
        )
        _run(
            database,
            "INSERT INTO call_attempts (attempt_ref, lead_id, campaign_id, attempt_number, telefono, provider, state,"
            " outcome, claimed_at, placed_at, ended_at, talk_seconds, cost) SELECT CONCAT('bench-', id), id,"
            " campaign_id, 1, telefono, 'benchmark', 'ended', IF(id % 3 = 0, 'completed', 'no_answer'),"
            " NOW() - INTERVAL (id % 24) HOUR, NOW() - INTERVAL (id % 24) HOUR, NOW() - INTERVAL (id % 24) HOUR,"
            " id % 90, 0.0125 FROM leads"
            f" WHERE id >= {low} AND id < {low + AT_ONCE} AND call_attempts_count > 0",
        )
    for table in ("leads", "call_schedule", "call_attempts"):
        _run(database, f"ANALYZE TABLE {table}")


def _run(database: Database, statement: str) -> None:
    """One statement that may take longer than the application would ever wait."""
    database.transact(lambda connection: connection.execute(text(statement)))


# --- the server ---------------------------------------------------------------------------------


def serve() -> None:
    """The application with what only this benchmark asks for. Says its port, and serves until a signal."""
    runtime = open_runtime(read_settings(_env_file=None))
    server = WebServer(runtime, "127.0.0.1", 0)
    add_routes(server.app, Listening(runtime.database))
    print(server.port, flush=True)
    server.serve()


class Listening:
    """Counts the statements that requests send, and their seconds."""

    def __init__(self, database: Database) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        event.listen(database.engine, "before_cursor_execute", self._begin)
        event.listen(database.engine, "after_cursor_execute", self._end)

    def take(self) -> dict[str, dict[str, Any]]:
        """What was heard since the last time."""
        counts, seconds = self.counts, self.seconds
        self.counts, self.seconds = Counter(), Counter()
        return {"counts": dict(counts), "seconds": dict(seconds)}

    def _begin(
        self, _connection: object, _cursor: object, _statement: str, _values: object, context: Any, _many: bool
    ) -> None:
        context.begun_at = time.perf_counter()

    def _end(
        self, _connection: object, _cursor: object, statement: str, _values: object, context: Any, _many: bool
    ) -> None:
        if threading.current_thread().name == WORKER:
            self.counts[statement] += 1
            self.seconds[statement] += time.perf_counter() - context.begun_at


def add_routes(app: FastAPI, heard: Listening) -> None:
    leads = tables.leads.c

    @app.get("/bench/lead/{lead_id}", include_in_schema=False)
    def look_up(lead_id: int, caller: Reader, runtime: RuntimeOf) -> dict[str, int | None]:
        found = runtime.database.read(
            lambda connection: connection.execute(select(leads.id).where(leads.id == lead_id)).scalar()
        )
        return {"id": found}

    @app.get("/bench/statements", include_in_schema=False)
    def statements() -> dict[str, Any]:
        return heard.take()

    @app.get("/bench/cpu", include_in_schema=False)
    def cpu() -> float:
        return time.process_time()

    @app.get("/bench/routes", include_in_schema=False)
    def routes() -> list[str]:
        return sorted(set(_list_paths(app)))


def _list_paths(app: FastAPI) -> Iterator[str]:
    for route in app.routes:
        # What was included is kept together by some releases of FastAPI, and spread out by others.
        contexts = getattr(route, "effective_route_contexts", None)
        for one in contexts() if contexts else [route]:
            if "GET" in (getattr(one, "methods", None) or ()):
                yield one.path


@dataclass
class Server:
    port: int
    client: http.client.HTTPConnection

    def get(self, path: str) -> tuple[int, bytes]:
        headers = {"Accept": "text/html, application/json"}
        try:
            self.client.request("GET", path, headers=headers)
            answer = self.client.getresponse()
        except ConnectionError:  # after an error of its own the server closes
            self.client.close()
            self.client.request("GET", path, headers=headers)
            answer = self.client.getresponse()
        return answer.status, answer.read()

    def json(self, path: str) -> Any:
        status, body = self.get(path)
        if status != 200:
            sys.exit(f"{path} answered {status}: {body[:500].decode()}")
        return json.loads(body)

    def timed(self, path: str) -> float:
        began = time.perf_counter()
        status, body = self.get(path)
        took = time.perf_counter() - began
        if status != 200:
            sys.exit(f"{path} answered {status}: {body[:500].decode()}")
        return took


@contextmanager
def serving(database_url: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.web", "--serve"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "RINGBACK_DATABASE_URL": database_url, "RINGBACK_LOG_LEVEL": "WARNING",
             "RINGBACK_OPEN_ACCESS": "1"},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if not said:
            sys.exit("the server did not start")
        client = http.client.HTTPConnection("127.0.0.1", int(said), timeout=120)
        yield Server(int(said), client)
        client.close()
    finally:
        process.terminate()
        process.wait(30)


# --- figures ------------------------------------------------------------------------------------


def measure_ratios(server: Server, rows: int) -> dict[str, Any]:
    """In turn, because a machine's pace drifts."""
    chance = random.Random(7)
    asked = {
        "lookup": lambda: f"/bench/lead/{chance.randrange(1, rows)}",
        "status": lambda: f"/api/v1/batches/{MARK}-0/status",
        "status_small": lambda: f"/api/v1/batches/{MARK}-{chance.randrange(1, 100)}/status",
        "overview": lambda: "/api/v1/dashboard/overview",
        "overview_of_account": lambda: "/api/v1/dashboard/overview?account_id=1",
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    for turn in range(WARM + ROUNDS):
        for name, path in asked.items():
            took = server.timed(path())
            if turn >= WARM:
                times[name].append(took)
    middle = {name: statistics.median(found) for name, found in times.items()}
    progress("  " + ", ".join(f"{name} {took * 1e3:.2f} ms" for name, took in middle.items()))
    size = len(server.get(f"/api/v1/batches/{MARK}-0/status")[1])
    return {
        **{f"{name}_ms": round(took * 1e3, 2) for name, took in middle.items()},
        **{
            f"{name}_over_lookup": round(took / middle["lookup"], 2)
            for name, took in middle.items() if name != "lookup"
        },
        "status_bytes": size,
    }


def measure_polls(server: Server, rows: int) -> dict[str, Any]:
    """As a front end polls: every few seconds, beginning with the first answer of a process that was just started."""
    chance = random.Random(11)
    polled = {
        "status": f"/api/v1/batches/{MARK}-0/status",
        "overview": "/api/v1/dashboard/overview",
        "overview_of_account": "/api/v1/dashboard/overview?account_id=1",
    }
    times: dict[str, list[float]] = {name: [] for name in ("lookup", *polled)}
    ages: dict[str, list[float]] = {name: [] for name in polled}
    until = time.monotonic() + POLL_SECONDS
    while time.monotonic() < until:
        begun = time.monotonic()
        times["lookup"].append(server.timed(f"/bench/lead/{chance.randrange(1, rows)}"))
        for name, path in polled.items():
            began = time.perf_counter()
            answer = server.json(path)
            times[name].append(time.perf_counter() - began)
            ages[name].append((datetime.now(UTC) - datetime.fromisoformat(answer["counted_at"])).total_seconds())
        time.sleep(max(0.0, POLL_EVERY - (time.monotonic() - begun)))
    middle = {name: statistics.median(found) for name, found in times.items()}
    found: dict[str, Any] = {"polls": len(times["lookup"])}
    for name, took in middle.items():
        found |= {f"poll_{name}_ms": round(took * 1e3, 2), f"poll_{name}_worst_ms": round(max(times[name]) * 1e3, 2)}
    for name in polled:
        found |= {
            f"poll_{name}_over_lookup": round(middle[name] / middle["lookup"], 2),
            f"poll_{name}_oldest_seconds": round(max(ages[name]), 1),
        }  # fmt: skip
        progress(
            f"  polled {name}: median {middle[name] * 1e3:.2f} ms, {found[f'poll_{name}_over_lookup']} times a look-up,"
            f" worst {max(times[name]) * 1e3:.0f} ms; figures at most {max(ages[name]):.1f} s old"
        )
    return found


def measure_pages(server: Server) -> dict[str, Any]:
    """Statements of every page and of every resource, as many as the second of two requests needs."""
    counts: dict[str, int] = {}
    seconds, statements, odd = {}, {}, {}
    for path in server.json("/bench/routes"):
        address = _filled_in(path)
        if address is None:
            continue
        server.get(address)
        server.get("/bench/statements")
        began = time.perf_counter()
        status, _ = server.get(address)
        seconds[address] = time.perf_counter() - began
        heard = server.json("/bench/statements")
        counts[address], statements[address] = sum(heard["counts"].values()), heard["seconds"]
        if status >= 400:
            odd[address] = status
    for address in sorted(seconds, key=lambda one: -seconds[one])[:SLOWEST]:
        progress(f"  {seconds[address] * 1e3:8,.0f} ms, {counts[address]} statements: {address}")
        for statement, took in sorted(statements[address].items(), key=lambda one: -one[1])[:2]:
            progress(f"           {took * 1e3:8,.0f} ms: {' '.join(statement.split())[:200]}")
    if odd:
        progress("  not answered: " + ", ".join(f"{address} {status}" for address, status in odd.items()))
    pages = [one for one in counts if not one.startswith("/api")]
    most, slowest = max(pages, key=lambda one: counts[one]), max(pages, key=lambda one: seconds[one])
    most_of_all, slowest_of_all = max(counts, key=lambda one: counts[one]), max(seconds, key=lambda one: seconds[one])
    return {
        "pages": len(pages), "statements_most": counts[most], "statements_most_at": most,
        "page_ms_most": round(seconds[slowest] * 1e3, 1), "page_ms_most_at": slowest,
        "resources": len(counts) - len(pages), "statements_most_of_all": counts[most_of_all],
        "statements_most_of_all_at": most_of_all, "ms_most_of_all": round(seconds[slowest_of_all] * 1e3, 1),
        "ms_most_of_all_at": slowest_of_all,
    }  # fmt: skip


def _filled_in(path: str) -> str | None:
    """An address of this route; None for what is no page: files, streams, and what takes something unknown."""
    if path.startswith(("/bench", "/live", "/static", "/openapi", "/metrics")) or path.endswith(".csv"):
        return None
    of_account = path.startswith(("/accounts", "/api/v1/accounts"))
    known = {
        "key": f"{MARK}-1", "code": f"{MARK}-0", "batch_id": f"{MARK}-0", "campaign": f"{MARK}-0", "lead_id": "25",
        "attempt_id": "25", "call_id": "25", "schedule_id": "25", "account": f"{MARK}-1", "config_key": "timezone",
    }  # fmt: skip
    if not of_account:
        known["key"] = "timezone" if path.startswith(("/config", "/api/v1/config")) else f"{MARK}-0"
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", value)
    return None if "{" in path else path


def measure_streams(server: Server, database: Database) -> dict[str, Any]:
    """The server's CPU time while streams are open and things change ten times a second."""
    with open_streams(server.port) as received, changing(database):
        time.sleep(3)
        before, bytes_before = server.json("/bench/cpu"), received["bytes"]
        began = time.perf_counter()
        time.sleep(STREAM_SECONDS)
        cores = (server.json("/bench/cpu") - before) / (time.perf_counter() - began)
        got = received["bytes"] - bytes_before
    progress(f"  {STREAMS} streams: {cores:.2f} cores, {got / 1024:.0f} KiB received")
    if not got:
        sys.exit("the streams said nothing")
    return {"streams": STREAMS, "cores_of_streams": round(cores, 3), "stream_kib": round(got / 1024)}


@contextmanager
def open_streams(port: int) -> Iterator[Counter[str]]:
    """Streams that are read by a thread for as long as this is open; what came is counted."""
    received: Counter[str] = Counter()
    over = threading.Event()
    chosen = selectors.DefaultSelector()
    sockets = []
    for number in range(STREAMS):
        one = socket.create_connection(("127.0.0.1", port))
        watched = f"?campaigns={number % 50 + 1}"
        one.sendall(
            f"GET /live{watched} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        sockets.append(one)
        chosen.register(one, selectors.EVENT_READ)

    def read() -> None:
        while not over.is_set():
            for key, _ in chosen.select(0.2):
                received["bytes"] += len(key.fileobj.recv(65536))  # type: ignore[union-attr]

    for one in sockets:
        if not one.recv(64).startswith(b"HTTP/1.1 200"):
            sys.exit("a stream was refused")
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield received
    finally:
        over.set()
        reader.join()
        chosen.close()
        for one in sockets:
            one.close()


@contextmanager
def changing(database: Database) -> Iterator[None]:
    over = threading.Event()

    def change() -> None:
        number = 1000
        while not over.wait(0.1):
            number += 1
            _run(database, f"UPDATE leads SET lead_status = 'suspended' WHERE id = {number}")
            _run(database, f"UPDATE call_attempts SET cost = cost + 1 WHERE id = {number}")

    changer = threading.Thread(target=change, daemon=True)
    changer.start()
    try:
        yield
    finally:
        over.set()
        changer.join()


if __name__ == "__main__":
    main()
