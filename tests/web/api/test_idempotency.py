"""A request that is sent again is answered again, and done once."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import event

from scheduler.service.idempotency import Once, Standing
from scheduler.store import idempotency as store
from scheduler.store import tables
from tests import factories
from tests.waiting import BACKSTOP, PLAIN

LEADS = "/api/v1/leads"
BODY = {"phones": ["+56912345678"]}
KEY = {"Idempotency-Key": "add-ana-1"}
on_one_engine = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_of_many_equal_requests_at_once_one_works_and_all_others_learn_what_came_of_it(served, database):
    ready = threading.Barrier(8)

    def ask(_):
        with httpx.Client(base_url=served, **PLAIN) as client:
            ready.wait(BACKSTOP)
            answers = [client.post(LEADS, json=BODY, headers=KEY)]
            while answers[-1].status_code == 409:
                answers.append(client.post(LEADS, json=BODY, headers=KEY))
            return answers[-1]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert {one.status_code for one in answers} == {201}
    assert len({one.content for one in answers}) == 1
    assert len(factories.find_all(database, tables.leads)) == 1
    assert sorted(one.headers.get("idempotency-replayed", "") for one in answers) == ["", *["true"] * 7]
    assert {one.headers["location"] for one in answers} == {f"{LEADS}/{answers[0].json()['id']}"}


@on_one_engine
def test_a_key_that_was_used_for_another_request_is_refused(client, database):
    assert client.post(LEADS, json=BODY, headers=KEY).status_code == 201

    for body, address in (({"phones": ["+56987654321"]}, LEADS), (BODY, f"{LEADS}?x=1"), (BODY, "/api/v1/leads/count")):
        answer = client.post(address, json=body, headers=KEY)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), address
    assert len(factories.find_all(database, tables.leads)) == 1


@on_one_engine
def test_a_refusal_is_replayed_too_and_what_is_no_key_is_refused(client, database):
    campaign_id = factories.add_campaign(database, "autumn", status="paused")
    pause = f"/api/v1/campaigns/{campaign_id}/pause"

    first = client.post(pause, headers=KEY)
    factories.sql(database, "UPDATE campaigns SET status = 'active'")
    again = client.post(pause, headers=KEY)

    assert (first.status_code, again.status_code, again.content) == (409, 409, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    assert client.post(pause, headers={"Idempotency-Key": "x" * 192}).status_code == 422
    assert client.post(pause, headers={"Idempotency-Key": "other"}).status_code == 200


@on_one_engine
def test_a_key_is_forgotten_after_a_day(client, clock, database):
    client.post(LEADS, json=BODY, headers=KEY)
    clock.advance(timedelta(hours=23, minutes=59))
    assert client.post(LEADS, json=BODY, headers=KEY).headers["idempotency-replayed"] == "true"
    clock.advance(timedelta(minutes=1))

    assert "idempotency-replayed" not in client.post(LEADS, json=BODY, headers=KEY).headers
    assert len(factories.find_all(database, tables.leads)) == 2
    clock.advance(timedelta(days=2))
    client.post(LEADS, json=BODY, headers={"Idempotency-Key": "another"})
    assert [one.idempotency_key for one in factories.find_all(database, tables.idempotency_keys)] == ["another"]


def test_a_key_whose_process_died_is_free_again_and_the_dead_one_cannot_answer(runtime, clock):
    keys = Once(runtime)
    dead = keys.claim("open:0", "k", "a" * 64)
    assert keys.claim("open:0", "k", "a" * 64).standing is Standing.RUNNING
    assert keys.claim("open:0", "k", "b" * 64).standing is Standing.OTHER
    assert keys.claim("key:7", "k", "b" * 64).standing is Standing.OURS, "the keys of another caller are others"
    clock.advance(timedelta(minutes=10))

    heir = keys.claim("open:0", "k", "a" * 64)

    assert heir.standing is Standing.OURS
    assert not keys.keep(dead, 201, "{}")
    assert keys.keep(heir, 201, '{"body": "x"}')
    done = keys.claim("open:0", "k", "a" * 64)
    assert (done.standing, done.status, done.answer) == (Standing.DONE, 201, '{"body": "x"}')


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_a_key_that_is_taken_anew_while_old_ones_are_forgotten_is_kept(runtime, database, clock):
    stale = Once(runtime).claim("open:0", "k", "a" * 64)
    before = clock.now()
    clock.advance(timedelta(days=1))
    keys, heirs = Once(runtime), []
    keys.claim("open:0", "other", "a" * 64)  # it forgot what was old, and will not look for ten minutes
    factories.sql(database, "UPDATE idempotency_keys SET created_at = :at", at=before.replace(tzinfo=None))

    def take_over(connection, cursor, statement, *_):
        if statement.startswith("SELECT") and not heirs:
            heirs.append(None)
            heirs.append(keys.claim("open:0", "other", "a" * 64))

    event.listen(database.engine, "after_cursor_execute", take_over)
    try:
        database.transact(lambda connection: store.forget_keys(connection, before, 10))
    finally:
        event.remove(database.engine, "after_cursor_execute", take_over)

    assert stale.standing is heirs[-1].standing is Standing.OURS
    assert keys.keep(heirs[-1], 201, "{}")


def test_what_failed_here_is_not_kept(served, database):
    """A table is away: nothing was done, so it may be tried again. The server closes the connection after such."""

    def ask():
        with httpx.Client(base_url=served, **PLAIN) as client:
            return client.post(LEADS, json=BODY, headers=KEY)

    factories.sql(database, "ALTER TABLE leads RENAME TO leads_away")
    try:
        with contextlib.suppress(httpx.TransportError):
            assert ask().status_code >= 500
    finally:
        factories.sql(database, "ALTER TABLE leads_away RENAME TO leads")

    again = ask()
    assert (again.status_code, again.headers.get("idempotency-replayed")) == (201, None)
