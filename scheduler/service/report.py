"""How a campaign is doing: the figures of `ringback report`.

Decided here: what each figure means; it stands beside its field. A lead is *reached* once a person answered an
attempt to call it (completed, callback, do_not_call or hang_up), and *succeeded* once one ended completed, which is
what `ringback stats` calls a success. What must stay true: nothing is changed; hours are those of the lead's own
zone, by the same order of trust as the gate's. While daemons work, the parts of one report may be seconds apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import TypeAlias

from scheduler.errors import InvalidValue, NotFound
from scheduler.model import OPEN_STATES, AttemptState, Campaign, CampaignStatus, LeadStatus, Outcome
from scheduler.rules.figures import Pace, Rate, find_end, find_pace, find_quantile, share, spread_over_week
from scheduler.rules.hours import day_start, wall_to_utc, zone_info
from scheduler.rules.phones import learn
from scheduler.rules.policy import Policy
from scheduler.rules.zones import lead_zones
from scheduler.service.rulebook import RuleBook, Rules
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.store import funnel, reports
from scheduler.store.campaigns import find_campaign
from scheduler.store.database import Connection

Since: TypeAlias = timedelta | date | datetime
"""How far back: a span until now, a date or a naive time on the installation's clock, an instant."""

SAME_PLACE = 4
"""Numbers that differ in so many last digits only are in one place, so their zone is looked up once."""
HOURS, WEEKDAYS = range(24), range(1, 8)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Leads: all there are; those with an attempt, reached, succeeded since then; closed since then, by why.

    `by_status` are all leads as they stand now. `by_outcome` are attempts, `leads_by_outcome` leads with such an
    attempt, so one may stand in several.
    """

    leads: int
    called: int
    reached: int
    succeeded: int
    closed: int
    by_status: Mapping[str, int]
    by_outcome: Mapping[str, int]
    leads_by_outcome: Mapping[str, int]
    closed_by_reason: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Attempts:
    """Dials. `ended` have an outcome, `refused` made no call and are in no other figure. Rates are of those ended."""

    total: int
    ended: int
    in_progress: int
    refused: int
    answered: int
    answer_rate: float | None
    success_rate: float | None


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """At which attempt a person first answered, over the leads of which that is known."""

    leads: int
    mean: float | None
    median: int | None
    by_attempt: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Answers:
    """Ended attempts, and those of them that a person answered."""

    attempts: int
    answered: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class AnswerRate:
    """On the clock of each lead. Weekdays count from Monday = 1; hours and days without any attempt are left out of
    `by_weekday_and_hour` alone.
    """

    by_hour: Mapping[int, Answers]
    by_weekday: Mapping[int, Answers]
    by_weekday_and_hour: Mapping[int, Mapping[int, Answers]]


@dataclass(frozen=True, slots=True)
class Postponed:
    """`times` that the gate put a call off since then, by cause; `waiting` are calls that wait so now."""

    times: Sequence[funnel.Postponed]
    waiting: Sequence[funnel.Waiting]


@dataclass(frozen=True, slots=True)
class Delay:
    """What leads waited after this outcome until the next round; `planned` by the settings, None where they differ."""

    outcome: str
    times: int
    median_seconds: int
    p90_seconds: int
    planned_seconds: float | None


@dataclass(frozen=True, slots=True)
class UnitCost:
    unit: str
    cost: Decimal
    attempts: int
    per_reached_lead: Decimal | None


@dataclass(frozen=True, slots=True)
class Spent:
    """Minutes talked, and costs as providers reported them, each unit apart."""

    minutes: float
    minutes_per_reached_lead: float | None
    by_unit: Sequence[UnitCost]


@dataclass(frozen=True, slots=True)
class Eta:
    """`left` are leads with a call planned or in work, `held` those whose call waits for people, `stopped` those of
    campaigns that are not active: neither is among the first.

    `at` is when the last is closed, at the present pace and inside the hours of the campaign that has most of them;
    `method` says how that was found, or why it is unknown.
    """

    left: int
    held: int
    stopped: int
    closed_per_hour: float | None
    hours_of_calling: float | None
    at: datetime | None
    method: str


@dataclass(frozen=True, slots=True)
class Report:
    at: datetime
    campaign: str | None
    since: datetime | None
    timezone: str
    funnel: Funnel
    attempts: Attempts
    first_answer: FirstAnswer
    answer_rate: AnswerRate
    postponed: Postponed
    delays: Sequence[Delay]
    spent: Spent
    eta: Eta


def make_report(
    campaign: str | None = None, since: Since | None = None, *, runtime: Runtime | None = None
) -> Report:
    """The figures of one campaign (code or id) or of everything, since then or ever.

    Raises NotFound for a campaign that does not exist, InvalidValue for a `since` that lies ahead.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()
    return runtime.database.read(lambda connection: _read(connection, campaign, since, now))


def _read(connection: Connection, key: str | None, since: Since | None, now: datetime) -> Report:
    campaign = find_campaign(connection, key) if key is not None else None
    if key is not None and campaign is None:
        raise NotFound("campaign", key)
    campaign_id = campaign.id if campaign else None
    campaigns = [campaign] if campaign else reports.read_campaigns(connection)
    rules = RuleBook().read(connection, campaigns)
    zone = rules.policy(None).default_zone
    begun_at = resolve_since(since, now, zone) if since is not None else None
    scope = funnel.read_scope(connection, campaign_id, begun_at)
    counted = funnel.count_attempts(connection, scope)
    called = funnel.count_called(connection, scope)
    return Report(
        at=now,
        campaign=campaign.code if campaign else None,
        since=begun_at,
        timezone=zone,
        funnel=_funnel(funnel.count_leads(connection, scope), called, counted),
        attempts=_attempts(counted),
        first_answer=_first_answer(funnel.count_first_answers(connection, scope)),
        answer_rate=_answer_rate(count_by_zone(funnel.stream_dials(connection, scope), rules)),
        postponed=Postponed(
            funnel.count_postponed(connection, scope), funnel.count_waiting(connection, campaign_id, now)
        ),
        delays=_delays(funnel.count_gaps(connection, scope), rules),
        spent=_spent(counted, funnel.sum_costs(connection, scope), called.reached),
        eta=_eta(connection, campaign_id, {one.id: one for one in campaigns}, rules, now),
    )


def resolve_since(since: Since, now: datetime, zone: str) -> datetime:
    """The instant that is meant. Raises InvalidValue for one that lies ahead."""
    if isinstance(since, timedelta):
        return now - since
    if not isinstance(since, datetime):
        at = day_start(since, zone_info(zone))
    else:
        at = since if since.tzinfo else wall_to_utc(since, zone_info(zone))
    if at > now:
        raise InvalidValue("since", since.isoformat(), "write a time that has passed, like 2027-03-01 or 7d")
    return at


# --- the parts ----------------------------------------------------------------------------------


def _funnel(
    leads: Iterable[funnel.LeadCount], called: funnel.Called, counted: Iterable[funnel.AttemptCount]
) -> Funnel:
    by_status: Counter[str] = Counter({one.value: 0 for one in LeadStatus})
    closed: Counter[str] = Counter()
    for one in leads:
        by_status[one.status] += one.leads
        if one.closed_reason is not None:
            closed[one.closed_reason] += one.leads
    ended = sorted((one for one in counted if one.outcome is not None), key=lambda one: -one.attempts)
    return Funnel(
        leads=by_status.total(),
        called=called.called,
        reached=called.reached,
        succeeded=called.succeeded,
        closed=closed.total(),
        by_status=by_status,
        by_outcome={str(one.outcome): one.attempts for one in ended},
        leads_by_outcome={str(one.outcome): one.leads for one in ended},
        closed_by_reason=dict(closed.most_common()),
    )


def _attempts(counted: Iterable[funnel.AttemptCount]) -> Attempts:
    by_state: Counter[str] = Counter()
    by_outcome: Counter[str] = Counter()
    for one in counted:
        by_state[one.state] += one.attempts
        if one.outcome is not None:
            by_outcome[one.outcome] += one.attempts
    refused = by_state[AttemptState.REFUSED]
    answered = sum(by_outcome[one] for one in funnel.ANSWERED)
    ended = by_outcome.total()
    return Attempts(
        total=by_state.total() - refused,
        ended=ended,
        in_progress=sum(by_state[one] for one in OPEN_STATES),
        refused=refused,
        answered=answered,
        answer_rate=share(answered, ended),
        success_rate=share(by_outcome[Outcome.COMPLETED], ended),
    )


def _first_answer(by_attempt: Mapping[int, int]) -> FirstAnswer:
    leads = sum(by_attempt.values())
    mean = round(fmean(by_attempt.keys(), by_attempt.values()), 2) if leads else None
    return FirstAnswer(leads, mean, find_quantile(by_attempt, 0.5), by_attempt)


def count_by_zone(dials: Iterable[funnel.Dials], rules: Rules) -> dict[str, dict[tuple[int, bool], int]]:
    """Ended attempts by the zone of the lead, then by (quarter of an hour since 1970, was it answered?)."""
    zones: dict[tuple[str, int | None, str | None, str | None], str] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in dials:
        place = (one.number[:-SAME_PLACE], one.campaign_id, one.time_zone, one.region)
        zone = zones.get(place)
        if zone is None:
            zone = zones[place] = find_zone(one, rules.policy(one.campaign_id))
        counts[zone].update(one.quarters)
    return {
        zone: {funnel.Dials.read_quarter(text): attempts for text, attempts in quarters.items()}
        for zone, quarters in counts.items()
    }


def find_zone(dials: funnel.Dials, policy: Policy) -> str:
    """Whose clock shows the hour of these calls: the lead's, as the gate knows it.

    Where the number may be in several zones, that of the campaign or of the installation if it is one of them.
    """
    preferred = (*policy.zones, policy.default_zone)
    try:
        zones = lead_zones(
            time_zone=dials.time_zone, region=dials.region, traits=learn(dials.number) if dials.number else None,
            campaign_zones=policy.zones,
            default_zone=policy.default_zone,
        ).zones
        zone = next((one for one in preferred if one in zones), zones[0])
        zone_info(zone)
    except InvalidValue:  # changed by hand since it was called
        return policy.default_zone
    return zone


def _answer_rate(counts: Mapping[str, Mapping[tuple[int, bool], int]]) -> AnswerRate:
    week = spread_over_week(counts)
    by_hour: dict[int, Rate] = dict.fromkeys(HOURS, Rate())
    by_weekday: dict[int, Rate] = dict.fromkeys(WEEKDAYS, Rate())
    for (weekday, hour), rate in week.items():
        by_hour[hour] += rate
        by_weekday[weekday] += rate
    return AnswerRate(
        by_hour={hour: _answers(rate) for hour, rate in by_hour.items()},
        by_weekday={weekday: _answers(rate) for weekday, rate in by_weekday.items()},
        by_weekday_and_hour={
            weekday: {hour: _answers(rate) for (day, hour), rate in week.items() if day == weekday}
            for weekday in WEEKDAYS if by_weekday[weekday].attempts
        },
    )


def _answers(rate: Rate) -> Answers:
    return Answers(rate.attempts, rate.answered, rate.rate)


def _delays(gaps: Iterable[funnel.Gap], rules: Rules) -> list[Delay]:
    waits: dict[str, Counter[int]] = defaultdict(Counter)
    planned: dict[str, set[float]] = defaultdict(set)
    for one in gaps:
        waits[one.outcome][one.seconds] += one.pairs
        # A number that is invalid, or a call that was cancelled, is followed as a failure is.
        waits_as = Outcome.FAILED if one.outcome in (Outcome.INVALID_NUMBER, Outcome.CANCELLED) else one.outcome
        planned[one.outcome].add(rules.policy(one.campaign_id).delay(Outcome(waits_as)).value.total_seconds())
    found = []
    for outcome, histogram in sorted(waits.items()):
        median, p90 = find_quantile(histogram, 0.5), find_quantile(histogram, 0.9)
        assert median is not None and p90 is not None, "an outcome is here because somebody waited"
        by_settings = planned[outcome]
        found.append(Delay(
            outcome, histogram.total(), median, p90, by_settings.pop() if len(by_settings) == 1 else None
        ))
    return found


def _spent(counted: Iterable[funnel.AttemptCount], costs: Iterable[funnel.Cost], reached: int) -> Spent:
    minutes = sum(one.talk_seconds for one in counted) / 60
    return Spent(
        minutes=round(minutes, 2),
        minutes_per_reached_lead=round(minutes / reached, 2) if reached else None,
        by_unit=[
            UnitCost(
                one.unit, one.cost, one.attempts,
                (one.cost / reached).quantize(Decimal("0.0001")) if reached else None,
            )
            for one in costs
        ],
    )


def _eta(
    connection: Connection, campaign_id: int | None, campaigns: Mapping[int, Campaign], rules: Rules, now: datetime
) -> Eta:
    progress = funnel.read_progress(connection, campaign_id, now)
    pace = find_pace(
        closed_in_hour=progress.closed_in_hour, calling_since=progress.calling_since,
        closed_in_day=progress.closed_in_day, hours_with_calls=progress.hours_with_calls, now=now,
    )
    rows = funnel.count_left(connection, campaign_id)
    going_on = [one for one in rows if _is_called(one.campaign_id, campaigns)]
    left = sum(one.waiting for one in going_on)
    eta = Eta(
        left=left,
        held=sum(one.held for one in rows),
        stopped=sum(one.waiting for one in rows) - left,
        closed_per_hour=round(pace.per_hour, 2) if pace else None,
        hours_of_calling=None,
        at=None,
        method="unknown: ",
    )
    if rules.policy(None).is_paused:
        return replace(eta, method="unknown: everything is paused (scheduler_config.paused)")
    if not left:
        stopped = f"; {eta.stopped} leads wait in campaigns that are not active" if eta.stopped else ""
        return replace(eta, method=f"unknown: no lead is left to call{stopped}")
    if pace is None:
        return replace(eta, method="unknown: no lead was closed by a call in the last day, so there is no pace")
    most = max(going_on, key=lambda one: one.waiting).campaign_id
    hours = f"hours of {f'campaign {campaigns[most].code}' if most is not None else 'scheduler_config'}"
    at = _end_within_hours(left, pace, rules.policy(most), now)
    return replace(
        eta,
        hours_of_calling=round(left / pace.per_hour, 2),
        at=at,
        method=f"{pace.method}, going on only inside the {hours}" if at is not None
        else f"unknown: more than a year away, by {pace.method} and the {hours}",
    )


def _is_called(campaign_id: int | None, campaigns: Mapping[int, Campaign]) -> bool:
    """Leads without a campaign are; those of one that was deleted are not."""
    if campaign_id is None:
        return True
    return campaign_id in campaigns and campaigns[campaign_id].status is CampaignStatus.ACTIVE


def _end_within_hours(leads: int, pace: Pace, policy: Policy, now: datetime) -> datetime | None:
    where = lead_zones(
        time_zone=None, region=None, traits=None, campaign_zones=policy.zones, default_zone=policy.default_zone
    )
    return find_end(leads, pace, policy.hours(where), now)
