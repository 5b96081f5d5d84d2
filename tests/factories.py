"""Rows as people and programs write them, and one daemon that a test turns by hand.

A factory fills what a claim is not about. Rows are written past the code under test, in plain inserts, so
that a test of the code does not stand on the code. `ScriptedProvider` is a provider like any other: its
answers are what the test said they would be.
"""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Table, insert, select, text

from scheduler.errors import InvalidValue, ProviderError
from scheduler.events import Line, Reporter
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Phase,
    ProviderEvent,
    Quiet,
    RefusalKind,
    Refused,
    Vitals,
)
from scheduler.service import dispatch, follow, upkeep
from scheduler.service.inbox import Inbox
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Providers, Runtime
from scheduler.store import reports, tables
from scheduler.store.database import Database
from tests.conftest import NOON

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_numbers = itertools.count()


# --- rows ----------------------------------------------------------------------------------------


def add_campaign(database: Database, code: str = "batch-1", *, call_settings: Any = None, **columns: Any) -> int:
    """A campaign. `call_settings` may be text, as an UPDATE by hand would write it."""
    values = {"code": code, "name": code, **columns}
    campaign_id = _insert(database, tables.campaigns, values)
    if isinstance(call_settings, str):
        sql(database, "UPDATE campaigns SET call_settings = :text WHERE id = :id", text=call_settings, id=campaign_id)
    elif call_settings is not None:
        _change(database, tables.campaigns, campaign_id, {"call_settings": call_settings})
    return campaign_id


def add_lead(database: Database, *phones: str, campaign_id: int | None = None, **columns: Any) -> int:
    """An open lead with these numbers (one in Santiago if none is given), planned for nothing."""
    numbers = phones or (chilean(),)
    lead_id = _insert(
        database, tables.leads,
        {"nombre": "Ana", "apellidos": "Soto", "telefono": numbers[0], "campaign_id": campaign_id, **columns},
    )
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(tables.lead_phones), [
            {"lead_id": lead_id, "position": position, "telefono": number} for position, number in enumerate(numbers, 1)
        ])
    return lead_id


def plan_call(database: Database, lead_id: int, *, at: datetime = NOON, attempt_number: int = 1, **columns: Any) -> int:
    """A pending row, due at `at`, in the campaign of its lead."""
    lead = find(database, tables.leads, id=lead_id)
    return _insert(database, tables.call_schedule, {
        "lead_id": lead_id, "campaign_id": lead.campaign_id if lead else None, "scheduled_at": at,
        "attempt_number": attempt_number, "phone_position": 1, "status": "pending", **columns,
    })


def add_many_planned(database: Database, campaign_id: int, count: int, *, at: datetime = NOON) -> None:
    """So many leads in Santiago whose calls are due, in two statements."""
    people = [{"campaign_id": campaign_id, "telefono": chilean()} for _ in range(count)]
    with database.engine.connect() as connection, connection.begin():
        connection.execute(insert(tables.leads), people)
        ids = connection.execute(select(tables.leads.c.id).where(tables.leads.c.campaign_id == campaign_id)).scalars()
        connection.execute(insert(tables.call_schedule), [
            {"lead_id": one, "campaign_id": campaign_id, "scheduled_at": at, "status": "pending"} for one in ids
        ])


def add_due_lead(
    database: Database, *phones: str, campaign_id: int | None = None, at: datetime = NOON, attempt_number: int = 1,
    **columns: Any,
) -> int:
    """A lead whose call is due."""
    lead_id = add_lead(database, *phones, campaign_id=campaign_id, **columns)
    plan_call(database, lead_id, at=at, attempt_number=attempt_number)
    return lead_id


def bar(database: Database, number: str, **columns: Any) -> None:
    """Put a number on the do-not-call list."""
    _insert(database, tables.do_not_call, {"telefono": number, "reason": "asked us", "created_at": NOON, **columns})


def set_config(database: Database, **values: str) -> None:
    """Change rows of `scheduler_config` by SQL, past every check."""
    for key, value in values.items():
        sql(database, "UPDATE scheduler_config SET config_value = :value WHERE config_key = :key", key=key, value=value)


def chilean() -> str:
    """A number in Santiago that no other lead of the test run has."""
    return f"+5691{next(_numbers) % 10_000_000:07d}"


# --- reading and writing as an operator does ------------------------------------------------------


def sql(database: Database, statement: str, **values: Any) -> list[Any]:
    """Run one statement as an operator would, on a connection of its own, and return its rows."""
    with database.engine.connect() as connection, connection.begin():
        found = connection.execute(text(statement), values)
        return list(found) if found.returns_rows else []


def find(database: Database, table: Table, **where: Any) -> Any:
    """The newest row with these values, or None."""
    return next(iter(find_all(database, table, **where)[::-1]), None)


def find_all(database: Database, table: Table, **where: Any) -> list[Any]:
    """Rows with these values, oldest first. Columns of MariaDB and SQLite alike, instants aware."""
    query = select(table).order_by(*table.primary_key.columns)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    with database.engine.connect() as connection:
        return [SimpleNamespace(**row) for row in connection.execute(query).mappings()]


def lead_of(database: Database, lead_id: int) -> Any:
    return find(database, tables.leads, id=lead_id)


def call_of(database: Database, lead_id: int) -> Any:
    """The newest scheduled call of a lead."""
    return find(database, tables.call_schedule, lead_id=lead_id)


def calls_of(database: Database, lead_id: int) -> list[Any]:
    return find_all(database, tables.call_schedule, lead_id=lead_id)


def attempt_of(database: Database, lead_id: int) -> Any:
    """The newest attempt of a lead."""
    return find(database, tables.call_attempts, lead_id=lead_id)


def attempts_of(database: Database, lead_id: int) -> list[Any]:
    return find_all(database, tables.call_attempts, lead_id=lead_id)


def events_of(database: Database, kind: str) -> list[Any]:
    return find_all(database, tables.events, kind=kind)


def config_of(database: Database, key: str) -> str | None:
    found = find_all(database, tables.scheduler_config, config_key=key)
    return found[0].config_value if found else None


def broken_promises(database: Database) -> dict[str, tuple[Any, ...]]:
    """Every invariant of `ringback check` that some row breaks, with the rows. Empty: all hold."""
    with database.engine.connect() as connection:
        found = [(one.key, reports.find_broken(connection, one)) for one in reports.INVARIANTS]
    return {key: broken.examples for key, broken in found if broken is not None}


# --- a provider that does as it is told -----------------------------------------------------------


class ScriptedProvider(Quiet):
    """Accepts every call, and says of each what the test told it to.

    `dials` are the start requests as they came. Scripts go by number: `answers(number, ...)` for the next
    requests, `ends(number, outcome)` for how its calls end, `knows(number, report)` for what a look-up
    shows. Safe for several threads.
    """

    waits = True

    def __init__(self, name: str = "scripted", *, finds_by_ref: bool = True) -> None:
        self.name, self.finds_by_ref = name, finds_by_ref
        self.cost_unit: str | None = None
        self.dials: list[DialRequest] = []
        self.polls: list[list[CallKey]] = []
        self.lookups: list[CallKey] = []
        self.hung_up: list[str] = []
        self.trouble: ProviderError | None = None
        """Raised by every question while set."""
        self.cannot_hang_up: set[str] = set()
        self.vitals: Vitals | None = None
        self.told: dict[str, CallReport | None] = {}
        """What events say, by their keys."""
        self._answers: dict[str | None, list[DialAnswer | Callable[[DialRequest], DialAnswer]]] = {}
        self._known: dict[str, CallReport] = {}
        self._forgotten: set[str] = set()
        self._lock = threading.Lock()

    @property
    def numbers(self) -> list[str]:
        """The numbers dialed, in the order of the requests."""
        return [request.number for request in self.dials]

    def answers(self, number: str | None, *answers: DialAnswer | Callable[[DialRequest], DialAnswer]) -> None:
        """What the next requests to this number (None: to any) are answered; after these, accepted."""
        self._answers.setdefault(number, []).extend(answers)

    def ends(self, number: str, outcome: Outcome | str, **details: Any) -> None:
        """Calls to this number are over, with this outcome."""
        self.knows(number, CallReport("", Phase.ENDED, outcome=Outcome(outcome), **{
            "provider_status": str(outcome), **details,
        }))

    def knows(self, number: str, report: CallReport) -> None:
        """What is said of calls to this number, by poll and look-up. The id is filled in."""
        self._known[number] = report
        self._forgotten.discard(number)

    def forgets(self, number: str) -> None:
        """No question about this number finds a call."""
        self._forgotten.add(number)

    def place(self, request: DialRequest) -> DialAnswer:
        with self._lock:
            self.dials.append(request)
            scripted = self._answers.get(request.number) or self._answers.get(None)
            answer = scripted.pop(0) if scripted else Accepted(call_id_of(request.attempt_ref))
        return answer(request) if callable(answer) else answer

    def poll(self, calls: Sequence[CallKey], now: datetime) -> dict[str, CallReport | None]:
        self.polls.append(list(calls))
        if self.trouble:
            raise self.trouble
        return {call.call_id: self._tell(call) for call in calls if call.call_id}

    def find(self, call: CallKey, now: datetime) -> CallReport | None:
        self.lookups.append(call)
        if self.trouble:
            raise self.trouble
        return self._tell(call)

    def hang_up(self, call_id: str) -> bool:
        if self.trouble or call_id in self.cannot_hang_up:
            raise self.trouble or ProviderError("the provider did not take the request")
        self.hung_up.append(call_id)
        return True

    def read_event(self, event: ProviderEvent) -> CallReport | None:
        return self.told[event.key]

    def read_vitals(self) -> Vitals | None:
        if self.trouble:
            raise self.trouble
        return self.vitals

    def close(self) -> None:
        """Nothing to give back."""

    def _tell(self, call: CallKey) -> CallReport | None:
        if call.number in self._forgotten:
            return None
        known = self._known.get(call.number, CallReport("", Phase.RINGING, provider_status="ringing"))
        return replace(known, call_id=call.call_id or call_id_of(call.attempt_ref), attempt_ref=call.attempt_ref)


def call_id_of(attempt_ref: str) -> str:
    return f"call-{attempt_ref}"


def ended_at_once(outcome: Outcome | str, **details: Any) -> Callable[[DialRequest], DialAnswer]:
    """An answer that already tells the end of the call."""

    def answer(request: DialRequest) -> DialAnswer:
        call_id = call_id_of(request.attempt_ref)
        status = {"provider_status": str(outcome), **details}
        return Accepted(call_id, CallReport(call_id, Phase.ENDED, request.attempt_ref, Outcome(outcome), **status))

    return answer


def refused(kind: RefusalKind = RefusalKind.REFUSED, reason: str = "not today", **details: Any) -> Refused:
    return Refused(kind, reason, **details)


# --- a daemon turned by hand ----------------------------------------------------------------------


class Station:
    """The three loops of one daemon, each turned when the test says so, on one provider."""

    def __init__(
        self, runtime: Runtime, provider: Any = None, *, owner: str = "station:1", places: int = 20,
        providers: Mapping[str, Any] | None = None,
    ) -> None:
        self.provider: Any = provider or ScriptedProvider()
        self.runtime = with_providers(runtime, providers or {self.provider.name: self.provider}, self.provider.name)
        self.lines: list[Line] = []
        self.reporter = Reporter(self.lines.append)
        self.rulebook = RuleBook()
        parts: dict[str, Any] = {"rulebook": self.rulebook, "reporter": self.reporter}
        self.dispatcher = dispatch.Dispatcher(self.runtime, owner=owner, places=places, **parts)
        self.follower = follow.Follower(self.runtime, **parts)
        self.keeper = upkeep.Upkeep(self.runtime, owner=owner, **parts)
        self.inbox = Inbox(self.runtime, **parts)

    def dispatch(self) -> dispatch.Report:
        """One tick of dispatch, and every dial of it answered and written."""
        report = self.dispatcher.run_once()
        assert self.dispatcher.drain(20), "every dial is answered"
        return report

    def dispatch_until_quiet(self) -> None:
        """Ticks of dispatch until one of them takes nothing more."""
        while self.dispatch().taken:
            continue

    def follow(self) -> follow.Report:
        return self.follower.run_once()

    def upkeep(self) -> upkeep.Report:
        return self.keeper.run_once()

    def hears(
        self, key: str, report: CallReport | None, *, ref: str | None = None, call_id: str | None = None
    ) -> int:
        """The provider posts an event, which is stored; `turn_inbox` applies it. Returns 1 if it was new."""
        self.provider.told.setdefault(key, report)
        event = ProviderEvent(key, "told", {"key": key}, attempt_ref=ref, call_id=call_id)
        return self.inbox.keep(self.provider.name, [event])

    def turn_inbox(self) -> Any:
        return self.inbox.run_once()

    def said(self, kind: str) -> list[str]:
        """What people were told of this kind."""
        return [line.text for line in self.lines if line.kind == kind]


def with_providers(runtime: Runtime, providers: Mapping[str, Any], default: str) -> Runtime:
    """The runtime with these providers and no other."""

    def no_other(name: str) -> Any:
        raise InvalidValue("provider", name, f"known providers: {', '.join(providers)}")

    return replace(runtime, providers=Providers(no_other, ready=providers), default_provider=default)


def with_settings(runtime: Runtime, **changed: Any) -> Runtime:
    return replace(runtime, settings=runtime.settings.model_copy(update=changed))


# --- a bad network --------------------------------------------------------------------------------


class Relay:
    """Between us and a database: passes everything on, but cuts the connection at a COMMIT it was told of.

    `cut_commit_after(text)`: the next COMMIT on a connection that has sent `text` before is passed on and
    its answer swallowed, or (`is_passed_on=False`) never passed on at all.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._marker: bytes | None = None
        self._is_passed_on = True
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut_commit_after(self, text: str, *, is_passed_on: bool = True) -> None:
        self._marker, self._is_passed_on = text.encode(), is_passed_on

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        """MySQL takes turns: a request, then its answer. So one thread serves both directions."""
        with (
            contextlib.suppress(OSError), client, socket.create_connection(self._server) as server,
            selectors.DefaultSelector() as both,  # `select` itself knows no file beyond the 1024th
        ):
            for side in (client, server):
                both.register(side, selectors.EVENT_READ)
            has_seen_it = False
            while True:
                for side in [key.fileobj for key, _ in both.select()]:
                    assert isinstance(side, socket.socket)
                    data = side.recv(65536)
                    if not data:
                        return
                    if side is client and self._marker:
                        has_seen_it = has_seen_it or self._marker in data
                        if has_seen_it and b"COMMIT" in data:
                            self._cut(server, data)
                            return
                    (server if side is client else client).sendall(data)

    def _cut(self, server: socket.socket, commit: bytes) -> None:
        self._marker = None
        self.cuts += 1
        if self._is_passed_on:
            server.sendall(commit)
            server.recv(65536)  # it has happened


# --- rows as inserts ------------------------------------------------------------------------------


def _insert(database: Database, table: Table, values: dict[str, Any]) -> int:
    with database.engine.connect() as connection, connection.begin():
        key = connection.execute(insert(table).values(**values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _change(database: Database, table: Table, row_id: int, values: dict[str, Any]) -> None:
    with database.engine.connect() as connection, connection.begin():
        connection.execute(table.update().where(table.c.id == row_id).values(**values))
