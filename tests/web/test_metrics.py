from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from scheduler.errors import DatabaseUnavailable
from scheduler.events import Reporter
from scheduler.service.access import create_key
from scheduler.service.accounts import create_account
from scheduler.service.daemon import Daemon
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from scheduler.web.kept import Kept
from scheduler.web.server import WebServer
from tests.conftest import NOON
from tests.factories import (
    HOUR,
    MINUTE,
    ScriptedProvider,
    add_campaign,
    add_due_lead,
    add_lead,
    chilean,
    ended_at_once,
    find,
    plan_call,
    refused,
    set_config,
    sql,
    with_providers,
)
from tests.waiting import BACKSTOP, PLAIN

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- health -----------------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("path", ["/health/ready", "/api/v1/health/ready"])
def test_it_is_ready_when_the_tables_are_current_and_says_nothing_else(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert client.head(path).status_code == 200


@on_sqlite
def test_older_tables_are_not_ready_and_life_goes_on(client, database):
    sql(database, "UPDATE alembic_version SET version_num = '0007'")

    not_ready = client.get("/health/ready")
    lives = client.get("/health/live")
    measured = samples(client.get("/metrics"))

    assert not_ready.status_code == 503
    assert "tables" in not_ready.json()["detail"] and "0007" not in not_ready.text
    assert (lives.status_code, lives.json()) == (200, {"status": "alive"})
    assert measured["ringback_schema_current", ()] == 0
    assert ("ringback_queue_calls", (("state", "due"),)) not in measured


@on_sqlite
def test_a_database_that_hangs_is_said_within_seconds_and_the_process_lives(hanging):
    live, ready = hanging.get("/health/live"), hanging.get("/api/v1/health/ready")

    assert live.status_code == 200
    assert (ready.status_code, ready.headers["content-type"]) == (503, "application/problem+json")
    assert ready.json()["detail"] == "the database cannot be reached now"
    assert ready.elapsed < timedelta(seconds=4)


@on_sqlite
def test_a_reading_that_fails_leaves_what_the_process_measured_of_itself(runtime):
    def fail() -> Any:
        raise DatabaseUnavailable("gone in the middle of it")

    server = WebServer(runtime, "127.0.0.1", 0)
    server.app.state.standing = Kept(fail, 2.0)
    server.start()
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        client.get("/health/live")
        found = samples(client.get("/metrics"))
    server.stop()

    assert found["ringback_database_up", ()] == 0
    assert found[request_of("/health/live", "200")] == 1
    assert not any(name.startswith("ringback_queue") for name, _ in found)


def test_one_reading_serves_all_who_ask_until_it_is_old():
    began, may_end, count = threading.Event(), threading.Event(), itertools.count(1)

    def read() -> int:
        began.set()
        assert may_end.wait(BACKSTOP)
        return next(count)

    kept = Kept(read, 1000.0)
    first, second = kept.ask(), kept.ask()
    assert began.wait(BACKSTOP)
    with pytest.raises(TimeoutError):
        kept.get(0.01)
    may_end.set()

    assert (first.result(BACKSTOP), second.result(BACKSTOP), kept.get(BACKSTOP)) == (1, 1, 1)
    again = Kept(read, 0.0, share=0.0)
    assert [again.get(20), again.get(20)] == [2, 3]


# --- metrics ----------------------------------------------------------------------------------------------------------


def test_what_a_daemon_did_is_measured_for_the_web_process(client, runtime, database, clock):
    provider = ScriptedProvider("simulator")
    busy, barred, waiting = chilean(), chilean(), chilean()
    provider.answers(busy, ended_at_once("busy"))
    provider.answers(barred, refused(reason=f"{barred} is not ours"))
    add_due_lead(database, busy, at=NOON - 3 * MINUTE)
    add_due_lead(database, barred, at=NOON - 40 * timedelta(seconds=1))
    closed_shop = add_campaign(database, call_settings={"windows": {"all": [["09:00", "10:00"]]}})
    add_due_lead(database, waiting, campaign_id=closed_shop)
    plan_call(database, add_lead(database), at=NOON + HOUR)
    reporter = Reporter(lambda line: None)
    Daemon(with_providers(runtime, {"simulator": provider}, "simulator"), reporter=reporter).run_once()

    text = client.get("/metrics")

    found = samples(text)
    daemon = str(find(database, tables.daemons).id)
    assert found["ringback_dials_total", labels(daemon=daemon, provider="simulator", outcome="busy")] == 1
    assert found["ringback_dials_total", labels(daemon=daemon, provider="simulator", outcome="refused")] == 1
    assert found["ringback_postponed_total", labels(daemon=daemon, reason="hours")] == 1
    assert found["ringback_postponed_total", labels(daemon=daemon, reason="caps")] == 0
    assert found["ringback_dial_lateness_seconds_count", labels(daemon=daemon)] == 2
    assert found["ringback_dial_lateness_seconds_bucket", labels(daemon=daemon, le="60.0")] == 1
    assert found["ringback_dial_lateness_seconds_bucket", labels(daemon=daemon, le="300.0")] == 2
    due, later = (found["ringback_queue_calls", labels(state=state)] for state in ("due", "later"))
    assert due + later == 4, "all are open; none is in work or held"
    for number in (busy, barred, waiting):
        assert number not in text.text and number[1:] not in text.text


def test_the_queue_is_counted_by_state_and_by_campaign(client, database):
    code = "cobranza \"norte\"\\\n<b>"
    campaign_id, numbered = add_campaign(database, code), add_campaign(database, "+56912345678")
    for minutes in (1, 7):
        add_due_lead(database, campaign_id=campaign_id, at=NOON - minutes * MINUTE)
    add_due_lead(database, campaign_id=numbered)
    add_due_lead(database, campaign_id=add_campaign(database, "resting", status="paused"))
    plan_call(database, add_lead(database), at=NOON + HOUR)
    plan_call(database, add_lead(database), at=NOON + HOUR, hold="manual")

    found = samples(client.get("/metrics"))

    states = {dict(of)["state"]: count for (name, of), count in found.items() if name == "ringback_queue_calls"}
    assert states == {"due": 3, "later": 2, "in_progress": 0, "held": 1}
    due = {dict(of)["campaign"]: count for (name, of), count in found.items() if name == "ringback_queue_due_calls"}
    assert due == {code: 2, f"id {numbered}": 1}
    assert found["ringback_queue_oldest_due_seconds", labels(campaign=code)] == 420
    assert found["ringback_leads", labels(state="open")] == 6


@on_sqlite
def test_live_calls_breakers_alerts_and_refused_settings_are_measured(client, database, runtime):
    provider = ScriptedProvider("simulator")
    add_due_lead(database)
    Daemon(with_providers(runtime, {"simulator": provider}, "simulator"), reporter=Reporter(print)).run_once()
    tables_of_pace = {"provider": "retell", "open_until": NOON + MINUTE, "next_at": NOON}
    with database.engine.begin() as connection:
        connection.execute(tables.provider_pace.insert(), [tables_of_pace])
    set_config(database, ring_timeout="a while")

    found = samples(client.get("/metrics"))

    assert found["ringback_live_calls", labels(provider="simulator", state="live")] == 1
    assert found["ringback_breaker_open", labels(provider="retell")] == 1
    assert found["ringback_breaker_open", labels(provider="simulator")] == 0
    assert found["ringback_settings_problems", ()] == 1
    raised = {dict(of)["code"] for (name, of), value in found.items() if name == "ringback_alert" and value}
    assert "settings_invalid" in raised


@on_sqlite
def test_a_daemon_that_went_silent_is_down_and_its_ticks_grow_old(client, runtime, database, clock):
    daemon = Daemon(runtime, reporter=Reporter(lambda line: None))
    daemon._check_beginning()
    daemon.pulse.came_round("dispatch", took=0.2)
    daemon.reporter.ticked("dispatch", clock.now(), 0.2)
    daemon._beat()
    clock.advance(5 * MINUTE)

    found = samples(client.get("/metrics"))

    key = str(find(database, tables.daemons).id)
    assert found["ringback_daemon_up", labels(daemon=key)] == 0
    assert found["ringback_daemon_heartbeat_age_seconds", labels(daemon=key)] == 300
    assert 300 <= found["ringback_tick_age_seconds", labels(daemon=key, tick="dispatch")] < 360
    assert found["ringback_last_tick_duration_seconds", labels(daemon=key, tick="dispatch")] == 0.2
    assert found["ringback_tick_duration_seconds_bucket", labels(daemon=key, tick="dispatch", le="0.5")] == 1


@on_sqlite
@pytest.mark.parametrize(
    "written", ["[]", "not json", '{"turns": 3, "late": {"counts": "x"}}', '{"dials": {"56912345678": {"busy": 1}}}',
                '{"dials": {"a": {"b": -1}}, "postponed": {"hours": 1e999}, "alerts": [null]}', "[" * 5000, "null"],
)  # fmt: skip
def test_vitals_that_cannot_be_read_break_no_scrape(client, runtime, database, written):
    Daemon(runtime, reporter=Reporter(lambda line: None)).run_once()
    sql(database, "UPDATE daemons SET vitals = :written", written=written)

    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert samples(answer)["ringback_database_up", ()] == 1
    assert "56912345678" not in answer.text


def test_a_scrape_costs_the_database_a_few_statements_and_the_next_one_none(served, database):
    for number in range(30):
        add_due_lead(database, campaign_id=add_campaign(database, f"c-{number}"))
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *of: asked.append(of[2]))

    with httpx.Client(base_url=served, **PLAIN) as one:
        one.get("/metrics")
        first = len(asked)
        for _ in range(5):
            one.get("/metrics")

    assert 0 < first <= 40
    of_a_reading = re.compile("call_schedule|daemons|scheduler_config")
    assert not [one for one in asked[first:] if of_a_reading.search(one)]


@on_sqlite
def test_requests_are_counted_by_route_and_never_by_what_was_asked(client):
    for path in ("/api/v1/leads/56912345678x", "/+56912345678", "/wp-login.php", "/health/live"):
        client.get(path)
    client.request("BREW", "/health/live")

    text = client.get("/metrics").text
    found = samples_of(text)

    assert found[request_of("/health/live", "200")] == 1
    assert found[request_of("(none)", "404")] >= 1
    assert "56912345678" not in text and "wp-login" not in text and "BREW" not in text
    assert found["ringback_http_request_duration_seconds_count", labels(route="/health/live")] == 2


@on_sqlite
def test_the_text_is_as_prometheus_wants_it(client):
    answer = client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    described = set(re.findall(r"^# HELP (\S+) \S", answer.text, re.M))
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.M):
        assert name in described, f"{name} says what it is"
        assert (kind == "counter") == name.endswith("_total"), name
    keys = [line.rpartition(" ")[0] for line in answer.text.splitlines() if not line.startswith("#")]
    assert len(keys) == len(set(keys)), "no series comes twice"
    assert client.get("/api/v1/metrics").status_code == 200


@on_sqlite
def test_once_there_are_keys_a_scrape_needs_one_that_is_not_of_one_account(client, runtime, database):
    create_account("Acme", code="acme", runtime=runtime)
    prometheus = create_key("prometheus", scope="read", runtime=runtime).token
    acme = create_key("acme", scope="admin", account="acme", runtime=runtime).token

    def scrape(key: str | None) -> int:
        return client.get("/metrics", headers={"Authorization": f"Bearer {key}"} if key else {}).status_code

    assert (scrape(prometheus), scrape(acme), scrape(None), scrape("rb_wrong")) == (200, 403, 401, 401)
    assert (client.get("/health/live").status_code, client.get("/api/v1/health/ready").status_code) == (200, 200)


# --- what this file needs ---------------------------------------------------------------------------------------------

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def hanging(runtime: Runtime) -> Iterator[httpx.Client]:
    """A web process whose database takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        database = Database(f"mysql+pymysql://a:b@127.0.0.1:{mute.getsockname()[1]}/ringback")
        server = WebServer(replace(runtime, database=database), "127.0.0.1", 0, reporter=Reporter(lambda line: None))
        server.start()
        with httpx.Client(base_url=server.url, **PLAIN) as client:
            yield client
    server.stop()


def samples(answer: httpx.Response) -> Found:
    assert answer.status_code == 200, answer.text
    return samples_of(answer.text)


def samples_of(text: str) -> Found:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
    }


def labels(**of: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(of.items()))


def request_of(route: str, status: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "ringback_http_requests_total", labels(method="GET", route=route, status=status)
