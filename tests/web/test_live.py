"""The live stream: what is pushed, to whom, how often the tables are asked for it, and how it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from scheduler.clock import ManualClock
from scheduler.events import Reporter
from scheduler.service import access, accounts
from scheduler.service.runtime import Runtime
from scheduler.store.database import Database
from scheduler.web import live
from scheduler.web.access import COOKIE
from scheduler.web.server import WebServer
from tests.conftest import NOON
from tests.factories import MINUTE, add_campaign, add_due_lead, add_lead
from tests.waiting import PLAIN
from tests.web.statements import counted

PASSWORD = "a long secret of ana"
sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_figures_are_pushed_when_they_change_in_the_language_of_the_page(
    client: httpx.Client, database: Database, clock: ManualClock
):
    campaign = add_campaign(database, "busy", priority=3)
    add_due_lead(database, campaign_id=campaign, at=NOON - MINUTE)
    with Stream(client, f"/live?campaigns={campaign}", {"Accept-Language": "es"}) as stream:
        first = stream.until(lambda news: "due" in news["texts"] and f"c{campaign}_leads" in news["texts"])
        for _ in range(2):
            add_lead(database, campaign_id=campaign)
        later = stream.until(lambda news: news["texts"].get(f"c{campaign}_leads") == "3")

    assert (first["texts"]["due"], first["texts"]["due_note"]) == ("1", "la más antigua, desde hace 1 min")
    assert first["texts"][f"c{campaign}_leads"] == "1"
    assert "Hoy aún no ha terminado ninguna llamada." in first["parts"]["hours"]
    assert "due" not in later.get("texts", {}) or later["texts"]["due"] == "1"


@sqlite_alone
def test_however_many_listen_the_tables_are_read_by_one(client: httpx.Client, served: str, database: Database):
    with ExitStack() as open_streams:
        streams = [open_streams.enter_context(Stream(client, "/live", {})) for _ in range(12)]
        for stream in streams:
            stream.until(lambda news: "due" in news["texts"])
        began = time.monotonic()
        with counted(database, of_requests=False) as statements:
            add_campaign(database, "new")
            streams[0].until(lambda news: news["texts"].get("active") == "1")
            took = time.monotonic() - began
        reads = sum("FROM daemons" in one and "api_keys" not in one for one in statements)
    # Two seconds lie between readings, one of which may read the alerts too.
    assert reads <= 2 * (took / live.EVERY + 2)
    assert len(statements) < 12 * 8


@sqlite_alone
def test_a_stream_is_for_whoever_sees_everything(client: httpx.Client, runtime: Runtime):
    accounts.create_account("Acme", code="acme", runtime=runtime)
    own = access.create_key("own", account="acme", runtime=runtime).token
    every = access.create_key("every", runtime=runtime).token

    assert client.get("/live", headers={"X-API-Key": own}).status_code == 403
    assert client.get("/live", headers={"Accept": "text/event-stream"}).status_code == 401
    assert client.get("/live?campaigns=x", headers={"X-API-Key": every}).status_code == 422
    too_many = ",".join(map(str, range(live.MOST_WATCHED + 1)))
    assert client.get(f"/live?campaigns={too_many}", headers={"X-API-Key": every}).status_code == 422
    with Stream(client, "/live", {"X-API-Key": every}) as stream:
        assert stream.answer.headers["cache-control"] == "no-store"


@sqlite_alone
@pytest.mark.parametrize("who", ["key", "user", "open"])
def test_a_stream_ends_with_what_let_it_in(client: httpx.Client, runtime: Runtime, who: str):
    headers = {}
    if who == "key":
        headers = {"X-API-Key": access.create_key("screen", runtime=runtime).token}
    elif who == "user":
        access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
        admitted = access.log_in("ana", PASSWORD, address="192.0.2.7", runtime=runtime)
        assert isinstance(admitted, access.Admitted)
        headers = {"Cookie": f"{COOKIE}={admitted.token}"}

    with Stream(client, "/live", headers) as stream:
        stream.until(lambda news: "due" in news["texts"])
        if who == "user":
            access.remove_user("ana", runtime=runtime)
        elif who == "key":
            access.revoke_key("screen", runtime=runtime)
        else:
            access.create_key("first", runtime=runtime)
        stream.to_the_end()


@sqlite_alone
def test_there_is_a_limit_to_open_streams(runtime: Runtime):
    server = WebServer(runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server.start()
    live.board_of(server.app).most = 2
    with httpx.Client(base_url=server.url, **PLAIN) as client:
        with Stream(client, "/live", {}), Stream(client, "/live", {}):
            refused = client.get("/live")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "15")
        with Stream(client, "/live", {}) as stream:
            stream.until(lambda news: "due" in news["texts"])
    server.stop()


@sqlite_alone
def test_open_streams_end_at_once_when_the_server_stops(runtime: Runtime):
    server = WebServer(runtime, "127.0.0.1", 0, reporter=Reporter(lambda line: None))
    server._server.config.timeout_graceful_shutdown = None  # otherwise uvicorn would end them itself some time
    server.start()
    with httpx.Client(base_url=server.url, **PLAIN) as client, Stream(client, "/live", {}) as stream:
        stream.until(lambda news: "due" in news["texts"])
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        rest = stream.to_the_end()
        stopping.join()
    assert all(not line.startswith("event") for line in rest)


class Stream:
    """An open stream of events, read one by one."""

    def __init__(self, client: httpx.Client, path: str, headers: dict[str, str]) -> None:
        self._opened = client.stream("GET", path, headers={"Accept": "text/event-stream", **headers})

    def __enter__(self) -> Stream:
        self.answer = self._opened.__enter__()
        assert self.answer.status_code == 200
        assert self.answer.headers["content-type"].startswith("text/event-stream")
        self.lines: Iterator[str] = self.answer.iter_lines()
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def until(self, is_there: Any) -> dict[str, Any]:
        """What was pushed up to the first news of which this is true, all of it together."""
        known: dict[str, Any] = {"texts": {}, "values": {}, "parts": {}}
        for line in self.lines:
            if line.startswith("data: "):
                for kind, one in json.loads(line.removeprefix("data: ")).items():
                    known.setdefault(kind, {}).update(one)
                if is_there(known):
                    return known
        raise AssertionError(f"the stream ended: {known}")

    def to_the_end(self) -> list[str]:
        """What still comes of a stream that is to end by itself: at a reading, not when it beats the next time."""
        rest = []
        for line in self.lines:
            assert line != ": still here", "it goes on"
            rest.append(line)
        return rest
