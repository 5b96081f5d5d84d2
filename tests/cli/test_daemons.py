"""`ringback daemons`, on rows and on a running process."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.store import tables
from scheduler.store.database import Database
from tests.cli.conftest import Ringback
from tests.cli.test_run_and_stats import daemon as daemon_process
from tests.cli.test_run_and_stats import open_at_all_hours
from tests.conftest import on_every_engine
from tests.factories import add_due_lead, attempt_of, find
from tests.waiting import BACKSTOP


@on_every_engine
def test_list_shows_who_works_and_who_is_silent(ringback: Ringback, database: Database) -> None:
    now = database.now()
    add_daemon(database, "alpha:1:aa", last_seen_at=now)
    add_daemon(database, "beta:2:bb", last_seen_at=now - timedelta(minutes=5))
    add_daemon(database, "gone:3:cc", last_seen_at=now, status="stopped")

    rows = ringback.json("daemons", "list")

    assert [(one["owner"], one["silent"]) for one in rows] == [("beta:2:bb", True), ("alpha:1:aa", False)]
    assert {"id", "host", "pid", "status", "doing", "wanted", "provider", "version", "started_at", "last_seen_at"} <= (
        set(rows[0])
    )
    assert [one["owner"] for one in ringback.json("daemons", "list", "--all", "--limit", 1)] == ["gone:3:cc"]
    assert "alpha:1:aa" in ringback.ok("daemons", "list")


@pytest.mark.parametrize(("verb", "wanted"), [("pause", "pause"), ("resume", "run"), ("drain", "drain")])
def test_a_daemon_is_asked_by_id_or_name(ringback: Ringback, database: Database, verb: str, wanted: str) -> None:
    daemon_id = add_daemon(database, "alpha:1:aa", last_seen_at=database.now(), wanted="pause")

    assert "alpha:1:aa is asked to" in ringback.ok("daemons", verb, daemon_id)
    assert find(database, tables.daemons, id=daemon_id).wanted == wanted
    ringback.ok("daemons", verb, "alpha")


def test_one_that_cannot_obey_is_refused_in_one_sentence(ringback: Ringback, database: Database) -> None:
    now = database.now()
    gone = add_daemon(database, "gone:1:aa", last_seen_at=now, status="stopped")
    silent = add_daemon(database, "mute:2:bb", last_seen_at=now - timedelta(minutes=5))

    for verb in ("pause", "resume", "drain"):
        assert "has stopped" in ringback.refused("daemons", verb, gone)
        assert "has said nothing since" in ringback.refused("daemons", verb, silent)
        assert ringback.refused("daemons", verb, "nobody") == "there is no daemon nobody"


def test_a_running_process_is_paused_resumed_and_drained(
    ringback: Ringback, database: Database, database_url: str
) -> None:
    open_at_all_hours(database)
    with daemon_process(database_url) as process:
        assert process.stdout is not None
        said = iter(process.stdout)
        assert any("started as" in line for line in said)
        (row,) = ringback.json("daemons", "list")

        ringback.ok("daemons", "pause", row["id"])
        assert any("paused: nothing new is taken" in line for line in said)
        assert [one["doing"] for one in ringback.json("daemons", "list")] == ["paused"]
        lead_id = add_due_lead(database, at=database.now())

        ringback.ok("daemons", "resume", row["owner"])
        assert any("resumed" in line for line in said)
        assert any("dialing" in line for line in said)

        ringback.ok("daemons", "drain", row["id"])
        rest, complaints = process.communicate(timeout=BACKSTOP)

    assert process.returncode == 0, complaints
    assert "drained" in rest
    assert attempt_of(database, lead_id).state == "ended"
    assert [one["status"] for one in ringback.json("daemons", "list", "--all")] == ["stopped"]


def add_daemon(database: Database, owner: str, **columns: object) -> int:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(tables.daemons.insert().values(owner=owner, host="h", pid=1, version="1", **columns))
    return int(find(database, tables.daemons, owner=owner).id)
