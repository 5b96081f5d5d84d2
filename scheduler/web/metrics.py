"""What monitoring asks: `/metrics` for Prometheus, and whether this process lives and is ready.

Decided here: how the figures of `service/standing.py`, what the daemons told of themselves and what this process
counted are called there. What must stay true: no label holds a number, a name of a person or an id of a lead, and
none can take more than a few hundred values; a scrape costs the database one reading in a few seconds, however
many ask. While the database is away nobody can be recognized, so a scrape is answered 503 like everything else and
Prometheus says `up == 0`; where the reading alone fails, or takes too long, `ringback_database_up` is 0 and what this
process measured of itself is there. A newcomer would ask the database whether this process lives: then an outage
would have it restarted, which helps nobody.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from http import HTTPStatus
from itertools import accumulate
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scheduler import __version__
from scheduler.clock import boottime
from scheduler.errors import RingbackError
from scheduler.events import LATE_BUCKETS, TURN_BUCKETS, Reporter
from scheduler.model import AttemptState
from scheduler.rules.alerts import AlertCode
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.service.standing import Standing, read_standing
from scheduler.service.vitals import Vitals, age_of, is_plain, own_vitals
from scheduler.store import schema
from scheduler.web.access import Reader
from scheduler.web.kept import Kept
from scheduler.web.problems import Refusal, responses
from scheduler.web.reach import require_everything

READING_KEPT = 2.0
"""Seconds for which a reading of the database serves every scrape."""
READING_WAIT = 8.0
"""A scrape waits so long for it; Prometheus gives up after 10 seconds unless it was told otherwise."""
READY_KEPT = 1.0
READY_WAIT = 2.0
MOST_CAMPAIGNS = 200
MOST_PROVIDERS = 50
ANSWER_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NUMBER = re.compile(r"\+\d{7,}|\d{9,}")
"""What might be a telephone number, in a code that people chose."""

router = APIRouter(tags=["health"])


# --- what this process counts -------------------------------------------------------------------------------------


class Meter:
    """Requests of one application, by the template of their route: what was asked for is in no label."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "ringback_http_requests", "Requests answered, by method, route and status", ["method", "route", "status"],
            registry=self.registry,
        )
        self._answers = Histogram(
            "ringback_http_request_duration_seconds", "Until the answer began, by route", ["route"],
            buckets=ANSWER_BUCKETS, registry=self.registry,
        )
        self._open = Gauge(
            "ringback_http_requests_in_progress", "Requests being answered, open event streams among them",
            registry=self.registry,
        )

    def begin(self) -> float:
        self._open.inc()
        return boottime()

    def end(self, scope: Scope, status: int, seconds: float) -> None:
        self._open.dec()
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = _template_of(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._answers.labels(route).observe(seconds)


class Metered:
    """The outermost layer: what the guards refuse is counted too."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self.app, self.meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, seconds = self.meter.begin(), 500, None

        async def passed_on(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], boottime() - began
            await send(message)

        try:
            await self.app(scope, receive, passed_on)
        finally:
            self.meter.end(scope, status, boottime() - began if seconds is None else seconds)


def measure_requests(app: FastAPI, runtime: Runtime) -> None:
    """Count what this application answers, and keep what its scrapes and probes read. Comes after the guards."""
    app.state.meter = Meter()
    rulebook = RuleBook()
    app.state.standing = Kept(lambda: read_standing(runtime, rulebook), READING_KEPT)
    app.state.readiness = Kept(lambda: schema.read_state(runtime.database), READY_KEPT, share=0)
    app.add_middleware(Metered, meter=app.state.meter)


def _template_of(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    if isinstance(path, str):
        return path
    # What is mounted has no route of ours: its place says enough. All that was not found is one.
    return "/static" if scope["path"].startswith("/static/") else "(none)"


# --- health -------------------------------------------------------------------------------------------------------


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


# Not in the pool of threads, which may be full of requests that wait for a database that hangs.
@router.get("/api/v1/health/live")
async def live() -> Alive:
    """This process answers. The database is not asked: a restart of this process would not bring it back."""
    return Alive()


@router.get("/api/v1/health/ready", responses=responses(503))
async def ready(request: Request) -> Ready:
    """The database can be reached and its tables are those of this program; else 503 says which it is."""
    asked = asyncio.wrap_future(request.app.state.readiness.ask())
    # Not wait_for: it would cancel what others wait for too. What comes too late is looked at by nobody.
    asked.add_done_callback(lambda over: over.cancelled() or over.exception())
    await asyncio.wait({asked}, timeout=READY_WAIT)
    if not asked.done() or isinstance(asked.exception(), RingbackError):
        raise _not_ready("the database cannot be reached now")
    if not asked.result().is_current:
        raise _not_ready("the tables of the database are not those of this program; `ringback db current` says more")
    return Ready()


for _path, _endpoint in (("live", live), ("ready", ready)):
    router.add_api_route(f"/health/{_path}", _endpoint, methods=["GET", "HEAD"], include_in_schema=False)
    router.add_api_route(f"/api/v1/health/{_path}", _endpoint, methods=["HEAD"], include_in_schema=False)


def _not_ready(sentence: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, sentence, {"Retry-After": "2"})


# --- metrics ------------------------------------------------------------------------------------------------------


AS_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The text format of Prometheus"}


@router.get("/metrics", response_class=Response, responses={200: AS_TEXT, **responses(403)})
def metrics(request: Request, caller: Reader) -> Response:
    """What can be measured, for Prometheus.

    Where the database cannot be read in time, `ringback_database_up` is 0 and what is read from it is missing.
    """
    require_everything(caller)
    state = request.app.state
    try:
        standing: Standing | None = state.standing.get(READING_WAIT)
    except (RingbackError, TimeoutError):
        standing = None
    own = None
    if state.reporter.daemon_owner is None:  # else it stands in the table, as the daemon's heartbeat told it
        own = own_vitals(state.reporter, state.runtime.clock_of_host())
    text = generate_latest(_Families(state.meter, state.reporter, own, standing))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4, headers={"Cache-Control": "no-store"})


router.add_api_route("/api/v1/metrics", metrics, methods=["GET"], include_in_schema=False)


OF_THIS_PROCESS = ("ringback_webhooks", "ringback_unsaid")
"""What the reporter counts that no daemon tells of itself."""


class _Families:
    """Everything of one scrape, as a collector."""

    def __init__(self, meter: Meter, reporter: Reporter, own: Vitals | None, standing: Standing | None) -> None:
        self.meter, self.reporter, self.own, self.standing = meter, reporter, own, standing

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("ringback_build", "This program", value={"version": __version__})
        yield _gauge("ringback_database_up", "1 while the database answers", int(self.standing is not None))
        yield from self.meter.registry.collect()
        yield from (one for one in self.reporter.registry.collect() if one.name in OF_THIS_PROCESS)
        if self.standing is not None:
            is_current = self.standing.is_current
            yield _gauge("ringback_schema_current", "1 while the tables are this program's", int(is_current))
            if is_current:
                yield from _queue(self.standing)
                yield from _providers(self.standing)
                yield from _troubles(self.standing)
                yield from _daemons(self.standing)
        yield from _vitals(self._measured())

    def _measured(self) -> Iterator[tuple[str, Vitals, Standing | None]]:
        for one in self.standing.daemons if self.standing else ():
            if one.vitals is not None:
                yield str(one.row.id), one.vitals, self.standing
        if self.own is not None:
            yield "web", self.own, None


def _queue(standing: Standing) -> Iterator[Metric]:
    calls = GaugeMetricFamily(
        "ringback_queue_calls", "Planned calls by state: due in active campaigns, later is the rest of the open leads",
        labels=["state"],
    )
    for state, count in (
        ("due", standing.due_calls), ("later", standing.later_calls), ("in_progress", standing.in_work),
        ("held", standing.held),
    ):
        calls.add_metric([state], count)
    yield calls
    by_campaign = ["campaign"]
    due = GaugeMetricFamily("ringback_queue_due_calls", "Due calls of the most urgent campaigns", labels=by_campaign)
    oldest = GaugeMetricFamily(
        "ringback_queue_oldest_due_seconds", "How long the oldest due call of a campaign has waited", labels=by_campaign
    )
    for one in standing.due[:MOST_CAMPAIGNS]:
        name = _campaign_label(one.campaign_id, one.code)
        due.add_metric([name], one.calls)
        oldest.add_metric([name], max(0.0, (standing.now - one.oldest).total_seconds()))
    yield due
    yield oldest
    yield _gauge("ringback_queue_counted_to", "Due calls of a campaign are counted to here", standing.counted_to)
    leads = GaugeMetricFamily("ringback_leads", "Leads by state; unpaid ones are open too", labels=["state"])
    counted = standing.leads
    for state, count in (
        ("open", counted.open), ("suspended", counted.suspended), ("reached", counted.reached),
        ("unreached", counted.unreached), ("unpaid", counted.unpaid),
    ):
        leads.add_metric([state], count)
    yield leads


def _providers(standing: Standing) -> Iterator[Metric]:
    live = GaugeMetricFamily("ringback_live_calls", "Calls that are not over", labels=["provider", "state"])
    breakers = GaugeMetricFamily("ringback_breaker_open", "1 while a provider is left alone", labels=["provider"])
    for provider in [one for one in standing.providers if is_plain(one)][:MOST_PROVIDERS]:
        for state in (AttemptState.PLACING, AttemptState.LIVE, AttemptState.UNKNOWN):
            live.add_metric([provider, state.value], standing.live.get((provider, state), 0))
        breakers.add_metric([provider], int(provider in standing.resting))
    yield live
    yield breakers


def _troubles(standing: Standing) -> Iterator[Metric]:
    alerts = GaugeMetricFamily("ringback_alert", "1 while such an alert is raised", labels=["code"])
    for code in AlertCode:
        alerts.add_metric([code.value], int(code.value in standing.alerts))
    yield alerts
    yield _gauge("ringback_settings_problems", "Settings rows that do not validate", standing.problems)


def _daemons(standing: Standing) -> Iterator[Metric]:
    by_daemon = ["daemon"]
    info = InfoMetricFamily("ringback_daemon", "Who the daemons are", labels=by_daemon)
    alive = GaugeMetricFamily("ringback_daemon_up", "1 while a daemon gives signs of life", labels=by_daemon)
    beat = GaugeMetricFamily("ringback_daemon_heartbeat_age_seconds", "Since its last sign of life", labels=by_daemon)
    for one in standing.daemons:
        row, key = one.row, [str(one.row.id)]
        info.add_metric(key, {
            "host": _label(row.host), "version": row.version or "", "provider": _label(row.provider or ""),
            "status": row.status, "doing": row.doing.value,
        })
        if row.status != "stopped":
            alive.add_metric(key, int(one.is_alive))
            beat.add_metric(key, max(timedelta(0), standing.now - row.last_seen_at).total_seconds())
    yield from (info, alive, beat)


def _vitals(measured: Iterable[tuple[str, Vitals, Standing | None]]) -> Iterator[Metric]:
    of_tick = ["daemon", "tick"]  # not "job": Prometheus calls its targets that
    turns = HistogramMetricFamily("ringback_tick_duration_seconds", "How long ticks took", labels=of_tick)
    last = GaugeMetricFamily("ringback_last_tick_duration_seconds", "How long the last good tick took", labels=of_tick)
    ages = GaugeMetricFamily("ringback_tick_age_seconds", "Since the last good tick", labels=of_tick)
    skips = CounterMetricFamily("ringback_skipped_ticks", "Ticks that found the last one running", labels=of_tick)
    late = HistogramMetricFamily(
        "ringback_dial_lateness_seconds", "From when a call was due to its start request", labels=["daemon"]
    )
    dials = CounterMetricFamily(
        "ringback_dials", "Dials by what came of them: an outcome, refused or not_sent; or unknown, which is looked up "
        "and counted again by what is found", labels=["daemon", "provider", "outcome"],
    )
    postponed = CounterMetricFamily("ringback_postponed", "Due calls that were put off", labels=["daemon", "reason"])
    for daemon, vitals, standing in measured:
        for job, one in vitals.turns.items():
            key = [daemon, job]
            turns.add_metric(key, _buckets(TURN_BUCKETS, one.counts), one.seconds)
            skips.add_metric(key, one.skipped)
            age = age_of(one, vitals, standing.now) if standing is not None else None
            if age is not None and one.last is not None:
                ages.add_metric(key, age)
                last.add_metric(key, one.last)
        for (provider, outcome), count in vitals.dials.items():
            dials.add_metric([daemon, provider, outcome], count)
        if standing is None:
            continue  # a web process learns how calls end; it takes none
        late.add_metric([daemon], _buckets(LATE_BUCKETS, vitals.late), vitals.late_seconds)
        for reason, count in vitals.postponed.items():
            postponed.add_metric([daemon, reason], count)
    yield from (turns, last, ages, skips, late, dials, postponed)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_text, value=value)


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    names = [*(str(one) for one in bounds), "+Inf"]
    return [(name, float(total)) for name, total in zip(names, accumulate(counts), strict=True)]


def _campaign_label(campaign_id: int | None, code: str | None) -> str:
    """Its code; but one that may hold a telephone number, or that says nothing, becomes the id of the campaign."""
    if campaign_id is None:
        return "(none)"
    return f"id {campaign_id}" if not code or NUMBER.search(code) else code


def _label(text: str) -> str:
    return NUMBER.sub("(number)", text)
