"""How the whole installation stands now, in one reading that is cheap however large the tables are.

What must stay true: nothing is counted beyond a limit, and what daemons have looked at lately is taken from what
they told of themselves instead of looked at again. Tables that are not at this program's revision are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.model import AttemptState
from scheduler.rules.alerts import raise_alerts
from scheduler.service.alerts import read_facts
from scheduler.service.rulebook import RuleBook
from scheduler.service.runtime import Runtime
from scheduler.service.vitals import Vitals, read_vitals
from scheduler.store import calls, depth, journal, schema
from scheduler.store.database import Connection
from scheduler.store.journal import VitalsRow
from scheduler.store.totals import Totals

COUNTED = 200_000
"""So many due calls are counted in one reading at most; shared by the campaigns that have some."""
MOST_DAEMONS = 100
STOPPED_FOR = timedelta(minutes=15)
"""How long one that has stopped is still shown, so that what it did last is seen."""
SILENT_FOR = timedelta(days=1)
"""The same, for one that has not said goodbye."""


@dataclass(frozen=True, slots=True)
class DueCampaign:
    """Due calls of one active campaign (`code` None: of leads without one), the oldest due since then."""

    campaign_id: int | None
    code: str | None
    calls: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class DaemonStanding:
    row: VitalsRow
    vitals: Vitals | None
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """`due` best first, each counted to `counted_to`. `live` is by provider and state; `resting` are the providers
    that are left alone. With `is_current` False the tables are another revision's, and nothing else is known.
    """

    now: datetime
    is_current: bool
    due: Sequence[DueCampaign] = ()
    counted_to: int = COUNTED
    in_work: int = 0
    held: int = 0
    leads: Totals = field(default_factory=Totals)
    live: Mapping[tuple[str, AttemptState], int] = field(default_factory=dict)
    providers: Sequence[str] = ()
    resting: frozenset[str] = frozenset()
    daemons: Sequence[DaemonStanding] = ()
    alerts: frozenset[str] = frozenset()
    problems: int = 0

    @property
    def due_calls(self) -> int:
        return sum(one.calls for one in self.due)

    @property
    def later_calls(self) -> int:
        """Open leads whose call is neither due nor in work nor held: planned for later, or in a campaign that rests."""
        return max(0, self.leads.open - self.due_calls - self.in_work - self.held)


def read_standing(runtime: Runtime, rulebook: RuleBook) -> Standing:
    """Raises DatabaseUnavailable."""
    now = runtime.clock.now()
    if not schema.read_state(runtime.database).is_current:
        return Standing(now, is_current=False)
    counted = runtime.counts.of_everything().value
    return runtime.database.read(lambda connection: _read(connection, now, runtime.default_provider, rulebook, counted))


def _read(
    connection: Connection, now: datetime, default_provider: str, rulebook: RuleBook, counted: Totals
) -> Standing:
    due = calls.list_due_campaigns(connection, now)
    most = max(1, COUNTED // max(1, len(due)))
    counts = depth.count_due(connection, [one.id for one in due], now, most)
    paces = calls.read_paces(connection)
    live = depth.count_open_attempts(connection)
    silent_after = timedelta(seconds=rulebook.read(connection).config.get("alert_silent_seconds", 60))
    daemons = [
        DaemonStanding(row, read_vitals(row.vitals), row.status != "stopped" and now - row.last_seen_at <= silent_after)
        for row in journal.list_vitals(connection, now - SILENT_FOR, MOST_DAEMONS)
        if row.status != "stopped" or now - row.last_seen_at <= STOPPED_FOR
    ]
    alerts, problems = _read_troubles(connection, now, daemons, silent_after, rulebook)
    return Standing(
        now, is_current=True,
        due=[
            DueCampaign(one.id, one.campaign.code if one.campaign else None, counts.get(one.id, 0), one.oldest)
            for one in due
        ],
        counted_to=most, in_work=depth.count_in_work(connection, COUNTED), held=depth.count_held(connection, COUNTED),
        leads=counted, live=live,
        providers=sorted({default_provider, *paces, *(provider for provider, _ in live)}),
        resting=frozenset(name for name, pace in paces.items() if pace.breaker.is_open(now)),
        daemons=daemons, alerts=alerts, problems=problems,
    )  # fmt: skip


def _read_troubles(
    connection: Connection, now: datetime, daemons: Sequence[DaemonStanding], recent: timedelta, rulebook: RuleBook
) -> tuple[frozenset[str], int]:
    """Alerts that are raised, and how many settings were refused: as the daemons see it, or by a look of our own."""
    told = [
        one.vitals for one in daemons
        if one.is_alive and one.vitals is not None and one.vitals.at is not None and now - one.vitals.at <= recent
    ]
    alerts = [one.alerts for one in told if one.alerts is not None]
    problems = [one.problems for one in told if one.problems is not None]
    if alerts and problems:
        return frozenset(code for codes in alerts for code in codes), max(problems)
    facts = read_facts(connection, now, rulebook)
    return frozenset(alert.code.value for alert in raise_alerts(facts)), len(facts.refused)
