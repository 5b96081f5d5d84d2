"""The facts that alerts are raised from, read at once; and the watch that turns them into metrics.

What must stay true: a reading costs a handful of statements however many campaigns there are, and changes
nothing, so that it may be asked from anywhere at any time; the command line and the metrics raise the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from scheduler.events import Reporter
from scheduler.model import Account, Campaign, CampaignStatus, DaemonWish
from scheduler.rules.alerts import (
    LATE_PROBE,
    ODD_OVER,
    PEOPLES_HOLDS,
    SUCCESS_OVER,
    Alert,
    BreakerNews,
    DaemonSign,
    Due,
    Ended,
    Facts,
    HeldCalls,
    Impaired,
    LiveCall,
    OddNews,
    Paused,
    Payer,
    RefusedSetting,
    Thresholds,
    codes_raised,
    raise_alerts,
)
from scheduler.rules.billing import affordable, expected_cost
from scheduler.service.follow import GRACE
from scheduler.service.rulebook import RuleBook, Rules
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import alerts as store
from scheduler.store import campaigns, second_calls
from scheduler.store.database import Connection

LOOK_EVERY = timedelta(seconds=30)
LONGEST_REST = timedelta(hours=1)
"""How long a provider may ask to be left alone and still be seen here."""


def list_alerts(*, runtime: Runtime | None = None, rulebook: RuleBook | None = None) -> list[Alert]:
    """Every alert that is raised now; none: all is well. Raises DatabaseUnavailable."""
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    book = rulebook or RuleBook()
    return raise_alerts(runtime.database.read(lambda connection: read_facts(connection, now, book)))


class AlertWatch:
    """Keeps the metric of alerts for one process. `run_once` looks at most every 30 seconds of its clock."""

    def __init__(self, runtime: Runtime, reporter: Reporter, rulebook: RuleBook | None = None) -> None:
        self.runtime = runtime
        self.reporter = reporter
        self.rulebook = rulebook or RuleBook()
        self._looked_at: datetime | None = None
        reporter.alerts(codes_raised([]))  # every code is there from the start

    def run_once(self) -> list[Alert] | None:
        """The alerts that are raised; None when it is too early to look again. Raises DatabaseUnavailable."""
        now = self.runtime.clock.now()
        if self._looked_at is not None and timedelta(0) <= now - self._looked_at < LOOK_EVERY:
            return None
        found = list_alerts(runtime=self.runtime, rulebook=self.rulebook)
        self._looked_at = now
        self.reporter.alerts(codes_raised(found))
        return found


def read_facts(connection: Connection, now: datetime, rulebook: RuleBook) -> Facts:
    """Everything that alerts are raised from, in one reading."""
    in_use = {one.id: one for one in store.list_in_use(connection)}
    rules = rulebook.read(connection, in_use.values())
    thresholds = Thresholds.of(rules.config)
    paused = {one.id for one in in_use.values() if one.status is CampaignStatus.PAUSED}
    waiting = store.read_waiting(connection, in_use.keys() - paused, paused, now, now - thresholds.due)
    due = waiting.due
    ended = []
    if thresholds.success_below > 0:
        ended = store.count_ended(connection, in_use.keys(), now - SUCCESS_OVER)
    live, in_flight = store.list_open(connection)
    news = store.list_breaker_news(connection, now - LONGEST_REST - LATE_PROBE)
    odd = {kind: OddNews(*news) for kind, news in second_calls.count_odd(connection, now - ODD_OVER).items()}
    return Facts(
        now=now,
        thresholds=thresholds,
        is_paused=rules.policy(None).is_paused,
        in_flight=in_flight,
        due=[Due(_name(one.campaign_id, in_use), one.calls, one.oldest) for one in due],
        paused=[Paused(in_use[one].code, since) for one, since in waiting.resting.items()],
        held=_read_held(connection, in_use, waiting.held),
        live=_read_live(connection, in_use, live, rules, rulebook),
        ended=[Ended(_name(one.campaign_id, in_use), one.calls, one.completed) for one in ended],
        refused=[RefusedSetting(one.where, one.sentence, one.kept) for one in rules.problems],
        breakers=_read_breakers(news),
        impaired=_read_impaired(news),
        payers=_read_payers(connection, due, in_use, rules),
        daemons=[
            DaemonSign(one.owner, one.host, one.started_at, one.last_seen_at, one.wanted is DaemonWish.RUN)
            for one in store.list_signs(connection)
        ],
        second_calls=odd.get("second_call", OddNews(0)),
        mismatches=odd.get("event_mismatch", OddNews(0)),
    )


def _read_held(
    connection: Connection, in_use: Mapping[int, Campaign], rows: Sequence[store.HeldRow]
) -> list[HeldCalls]:
    chosen = {row.campaign_id for row in rows if row.hold in PEOPLES_HOLDS}
    going_on = store.list_going_on(connection, chosen)
    return [
        HeldCalls(_name(row.campaign_id, in_use), row.hold, row.calls, row.oldest, row.campaign_id not in going_on)
        for row in rows
    ]


def _read_live(
    connection: Connection, in_use: Mapping[int, Campaign], rows: Sequence[store.LiveRow], rules: Rules,
    rulebook: RuleBook,
) -> list[LiveCall]:
    stopped = {row.campaign_id for row in rows if row.campaign_id is not None} - in_use.keys()
    known = dict(in_use)
    if stopped:  # calls outlive the campaign that was cancelled or completed meanwhile
        known.update(campaigns.read_campaigns(connection, stopped))
        rules = rulebook.read(connection, known.values())
    found = []
    for row in rows:
        policy = rules.policy(row.campaign_id)
        longest = policy.ring_timeout + policy.max_call_duration + GRACE
        found.append(LiveCall(row.attempt_id, _name(row.campaign_id, known), row.begun_at, longest))
    return found


def _read_breakers(rows: Sequence[store.BreakerRow]) -> list[BreakerNews]:
    """The last news of each daemon about each provider: one that works for one may be away for another."""
    newest: dict[tuple[str, str], BreakerNews] = {}
    for row in rows:
        is_open = row.kind == "breaker_open"
        if not is_open and row.kind != "breaker_closed":
            continue
        provider = str(row.details.get("provider") or "")
        until = _instant(row.details.get("until")) if is_open else None
        if provider and (until is not None or not is_open):
            newest[str(row.details.get("daemon")), provider] = BreakerNews(provider, until, row.reason)
    return list(newest.values())


def _read_impaired(rows: Sequence[store.BreakerRow]) -> list[Impaired]:
    """What each daemon last said is wrong with each provider."""
    newest: dict[tuple[str, str], Impaired | None] = {}
    for row in rows:
        provider, daemon = str(row.details.get("provider") or ""), str(row.details.get("daemon"))
        if row.kind == "provider_impaired":
            newest[daemon, provider] = Impaired(provider, daemon, row.reason or "")
        elif row.kind == "provider_sound":
            newest[daemon, provider] = None
    return [one for one in newest.values() if one is not None]


def _instant(text: object) -> datetime | None:
    with contextlib.suppress(TypeError, ValueError):
        at = datetime.fromisoformat(str(text))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return None


def _read_payers(
    connection: Connection, due: Iterable[store.DueRow], in_use: Mapping[int, Campaign], rules: Rules
) -> list[Payer]:
    waiting: dict[int, list[tuple[Campaign, int]]] = {}
    for row in due:
        campaign = in_use.get(row.campaign_id or 0)
        if campaign is not None and campaign.account_id is not None:
            waiting.setdefault(campaign.account_id, []).append((campaign, row.calls))
    return [
        Payer(account, _count_unpaid(account, waiting.get(account.id, ()), rules))
        for account in store.list_payers(connection)
    ]


def _count_unpaid(account: Account, waiting: Sequence[tuple[Campaign, int]], rules: Rules) -> int:
    """Due calls of campaigns of which the account cannot pay even one."""
    return sum(
        count for campaign, count in waiting
        if affordable(account, expected_cost(account, rules.policy(campaign.id).max_call_duration)) == 0
    )


def _name(campaign_id: int | None, known: Mapping[int, Campaign]) -> str:
    if campaign_id is None:
        return "leads without a campaign"
    campaign = known.get(campaign_id)
    return f"campaign {campaign.code if campaign else campaign_id}"
