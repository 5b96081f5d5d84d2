"""What must hold for any windows, zones, holidays and margins, mostly tried around the clock changes.

The oracle reads the wall clock of every minute, or second, straight from the words of the semantics. It
knows no intervals and no weeks, so it cannot share a mistake with the code under test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.rules.caps import (
    Calendar,
    Cap,
    Cooldown,
    Days,
    Hours,
    PastCall,
    Target,
    next_callable,
    next_release,
)
from scheduler.rules.hours import (
    HORIZON,
    AtLocal,
    Delay,
    Elapsed,
    Holidays,
    HoursRule,
    NoDelay,
    OpenTime,
    Span,
    Wall,
    Windows,
    WorkingDays,
    apply_delay,
    calculate_next_working_datetime,
    explain_closed,
    is_allowed,
    next_allowed,
    open_span,
    plan,
    zone_info,
)
from tests.examples import examples

ZONES = (
    "America/New_York", "America/Los_Angeles", "America/St_Johns", "America/Bogota", "America/Santiago",
    "Europe/Madrid", "Atlantic/Canary", "Atlantic/Azores", "Africa/Casablanca", "Asia/Kolkata",
    "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Pago_Pago",
    "America/Scoresbysund", "Africa/Cairo",
)  # fmt: skip
US = ("America/New_York", "America/Los_Angeles", "America/St_Johns")
EU = ("Europe/Madrid", "Atlantic/Canary", "Atlantic/Azores", "America/Scoresbysund")
CHANGES = {
    datetime(2027, 3, 14, 7, tzinfo=UTC): (*US, "Africa/Casablanca"),
    datetime(2027, 11, 7, 6, tzinfo=UTC): US,
    datetime(2027, 3, 28, 1, tzinfo=UTC): EU,
    datetime(2027, 10, 31, 1, tzinfo=UTC): EU,
    # Chile goes back at midnight, and skips midnight; so does Egypt.
    datetime(2027, 4, 4, 3, tzinfo=UTC): ("America/Santiago",),
    datetime(2027, 9, 5, 4, tzinfo=UTC): ("America/Santiago",),
    datetime(2027, 4, 29, 22, tzinfo=UTC): ("Africa/Cairo",),
    # Lord Howe moves by half an hour.
    datetime(2027, 4, 3, 15, tzinfo=UTC): ("Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham"),
    datetime(2027, 10, 2, 15, 30, tzinfo=UTC): ("Australia/Lord_Howe",),
    # No change at all: month ends.
    datetime(2027, 12, 31, 23, tzinfo=UTC): ("America/Bogota", "Asia/Kathmandu"),
    datetime(2028, 2, 29, 0, tzinfo=UTC): ("Asia/Kolkata", "Pacific/Pago_Pago"),
}
HOUR, DAY = 3600, 86_400
MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)
MARGINS = (0, 0, 30, 60, 600, 5400)

usual = settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])
thorough = settings(max_examples=examples(20), suppress_health_check=[HealthCheck.too_slow])


# --- Against the oracle ---------------------------------------------------------------------------


@thorough
@given(st.data())
def test_the_next_allowed_instant_is_the_first_that_reading_every_minute_finds(data: st.DataObject) -> None:
    rules, at = data.draw(situations())
    oracle = MinuteOracle(rules, at, days=2)
    for base in (at, *oracle.edges()):
        expected, actual = oracle.first_allowed(base), next_allowed(rules, base)
        if expected is None:
            assert actual is None or actual >= oracle.end
        else:
            assert actual == expected, base


@usual
@given(st.data())
def test_an_instant_is_allowed_exactly_when_the_wall_clocks_read_so(data: st.DataObject) -> None:
    rules, at = data.draw(situations())
    oracle = MinuteOracle(rules, at, days=2)
    minutes = (oracle.start + minute * MINUTE for minute in range(2 * 24 * 60))
    for moment in (at, *oracle.edges(), *minutes):
        assert is_allowed(rules, moment) == oracle.is_allowed(moment), moment


@settings(max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_windows_that_turn_on_odd_seconds_agree_with_second_by_second_reading(data: st.DataObject) -> None:
    change = data.draw(st.sampled_from(list(CHANGES)))
    zone = data.draw(st.sampled_from(CHANGES[change]))
    spans = st.lists(spans_of(st.integers(0, 86_399), st.integers(0, 86_400)), max_size=3).map(tuple)
    rule = HoursRule((zone,), Windows((data.draw(spans),) * 7, ()))
    start = change - timedelta(minutes=data.draw(st.integers(-30, 90)))
    expected = None
    for second in range(90 * 60):
        now = start + timedelta(seconds=second)
        if oracle_reads_open(rule, now):
            expected = now
            break
    actual = next_allowed((rule,), start)
    if expected is None:
        assert actual is None or actual >= start + timedelta(minutes=90)
    else:
        assert actual == expected


@usual
@given(st.data())
def test_open_time_is_the_number_of_open_minutes_that_were_waited(data: st.DataObject) -> None:
    rules, at = data.draw(situations(whole_minutes=True))
    minutes = data.draw(st.integers(0, 600))
    plain = tuple(replace(rule, close_margin=timedelta(0)) for rule in rules)
    oracle = MinuteOracle(plain, at, days=2)
    actual = apply_delay(rules, at, OpenTime(minutes * 60))
    if actual is None or actual > oracle.end:
        assert oracle.count_open(at, oracle.end) <= minutes
        return
    assert oracle.count_open(at, actual) == minutes
    assert minutes == 0 or is_allowed(plain, actual - MINUTE)  # it ends with the last open minute


@usual
@given(st.data())
def test_an_open_span_is_allowed_throughout_and_shut_on_either_side(data: st.DataObject) -> None:
    rules, at = data.draw(situations())
    span = open_span(rules, at)
    assert (span is not None) == is_allowed(rules, at)
    if span is None:
        return
    assert span.open_from <= at < span.open_until
    steps = data.draw(st.lists(st.floats(0, 1), max_size=20))
    for step in steps:
        inside = span.open_from + (span.open_until - span.open_from) * step
        assert is_allowed(rules, min(inside, span.open_until - TICK))
    if span.open_until - at < timedelta(hours=48):
        assert not is_allowed(rules, span.open_until)
        assert is_allowed(rules, span.open_until - TICK)
    if at - span.open_from < timedelta(hours=48):
        assert not is_allowed(rules, span.open_from - TICK)


# --- The properties of the calling rules ----------------------------------------------------------


@thorough
@given(st.data())
def test_a_plan_keeps_the_delay_is_allowed_and_has_no_earlier_minute(data: st.DataObject) -> None:
    (rules, base), delay = data.draw(situations()), data.draw(delays())
    planned = plan(rules, base, delay)
    assert planned.at == calculate_next_working_datetime(base, delay, rules)
    if planned.at is None or planned.wanted_at is None:
        assert planned.reason
        return
    assert planned.at >= planned.wanted_at >= base
    if isinstance(delay, Elapsed):
        assert planned.wanted_at == base + timedelta(seconds=delay.seconds)
    assert is_allowed(rules, planned.at)
    assert next_allowed(rules, planned.at) == planned.at
    assert (planned.reason == "") == (planned.at == planned.wanted_at)
    assert planned.at.tzinfo is UTC
    earlier = planned.at - MINUTE
    for _ in range(200):
        if earlier < planned.wanted_at:
            break
        assert not is_allowed(rules, earlier)
        earlier -= MINUTE


@usual
@given(st.data())
def test_a_later_base_never_gives_an_earlier_call(data: st.DataObject) -> None:
    rules, base = data.draw(situations())
    later = base + timedelta(seconds=data.draw(st.integers(0, 5 * 86_400)))
    assert_not_earlier(next_allowed(rules, later), next_allowed(rules, base), base)


@usual
@given(st.data())
def test_another_zone_rule_holiday_or_margin_never_gives_an_earlier_call(data: st.DataObject) -> None:
    rules, base = data.draw(situations(holiday_hours=False))
    first, rest = rules[0], rules[1:]
    day = (base + timedelta(days=data.draw(st.integers(-1, 3)))).date()
    holidays = replace(first.holidays, dates=first.holidays.dates | {day})
    stricter = (
        (replace(first, zones=(*first.zones, data.draw(st.sampled_from(ZONES)))), *rest),
        (*rules, data.draw(hours_rules(base))),
        (data.draw(hours_rules(base)), *rules),
        (replace(first, holidays=holidays), *rest),
        (replace(first, close_margin=first.close_margin + timedelta(seconds=45)), *rest),
    )
    before = next_allowed(rules, base)
    for changed in stricter:
        assert_not_earlier(next_allowed(changed, base), before, base)


@usual
@given(st.data())
def test_the_order_of_rules_and_zones_does_not_matter(data: st.DataObject) -> None:
    rules, base = data.draw(situations())
    turned = tuple(replace(rule, zones=rule.zones[::-1]) for rule in rules[::-1])
    assert next_allowed(turned, base) == next_allowed(rules, base)


@usual
@given(st.data())
def test_a_reason_is_given_for_every_instant_that_is_shut(data: st.DataObject) -> None:
    rules, at = data.draw(situations())
    reason = explain_closed(rules, at)
    if is_allowed(rules, at):
        assert reason == "inside hours"
    elif next_allowed(rules, at) is None:
        assert reason.startswith("never allowed: ")
    else:
        assert reason.startswith("outside hours: ")
        assert "; opens " in reason


@usual
@given(st.data())
def test_a_call_with_history_is_allowed_released_and_stays_put(data: st.DataObject) -> None:
    rules, base = data.draw(situations())
    caps, cooldowns = data.draw(st.lists(caps_(), max_size=3)), data.draw(st.lists(cooldowns_(), max_size=2))
    history = data.draw(histories(base))
    found = next_callable(rules, caps, cooldowns, history, TARGET, base)
    if found is None:
        return
    zones = [zone for rule in rules for zone in rule.zones]
    assert found >= base
    assert is_allowed(rules, found)
    assert next_release(caps, cooldowns, history, TARGET, zones, found) == (found, "")
    assert next_callable(rules, caps, cooldowns, history, TARGET, found) == found
    for minutes in range(1, 120):
        earlier = found - minutes * MINUTE
        if earlier < base:
            break
        held = next_release(caps, cooldowns, history, TARGET, zones, earlier)[0] > earlier
        assert held or not is_allowed(rules, earlier)


@usual
@given(st.data())
def test_one_more_past_call_never_gives_an_earlier_call_and_their_order_is_irrelevant(
    data: st.DataObject,
) -> None:
    rules, base = data.draw(situations())
    caps, cooldowns = data.draw(st.lists(caps_(), max_size=3)), data.draw(st.lists(cooldowns_(), max_size=2))
    history = data.draw(histories(base))
    before = next_callable(rules, caps, cooldowns, history, TARGET, base)
    shuffled = data.draw(st.permutations(history))
    assert next_callable(rules, caps[::-1], cooldowns[::-1], shuffled, TARGET, base) == before
    more = [*history, data.draw(past_calls(base))]
    assert_not_earlier(next_callable(rules, caps, cooldowns, more, TARGET, base), before, base)


@usual
@given(st.data())
def test_a_cap_has_room_exactly_when_a_plain_count_of_dates_and_hours_says_so(data: st.DataObject) -> None:
    cap, zone = data.draw(caps_()), data.draw(st.sampled_from(ZONES))
    _, base = data.draw(situations())
    history = data.draw(histories(base))
    for minutes in data.draw(st.lists(st.integers(0, 12 * 24 * 60), min_size=1, max_size=20)):
        now = base + minutes * MINUTE
        released_at, reason = next_release([cap], [], history, TARGET, [zone], now)
        counted = [call for call in history if oracle_counts(cap, call, now, zone)]
        assert (released_at == now) == (len(counted) < cap.max)
        assert (reason == "") == (released_at == now)


# --- The oracle -----------------------------------------------------------------------------------


class MinuteOracle:
    """Every minute of some days, read from the wall clock, for windows and offsets of whole minutes."""

    def __init__(self, rules: Sequence[HoursRule], at: datetime, *, days: int) -> None:
        self.start = at.replace(second=0, microsecond=0)
        self.end = self.start + timedelta(days=days)
        longest = max(rule.close_margin for rule in rules)
        self._rules = rules
        self._cells = [
            [
                oracle_reads_open(rule, self.start + minute * MINUTE)
                for minute in range(days * 24 * 60 + longest // MINUTE + 2)
            ]
            for rule in rules
        ]

    def is_allowed(self, at: datetime) -> bool:
        """All of [at, at + margin) lies in open minutes, for each rule on its own margin."""
        first = (at - self.start) // MINUTE
        for rule, cells in zip(self._rules, self._cells, strict=True):
            last_instant = max(at, at + rule.close_margin - timedelta(microseconds=1))
            if not all(cells[first : (last_instant - self.start) // MINUTE + 1]):
                return False
        return True

    def edges(self) -> list[datetime]:
        """The instants at, just before and just after which a rule opens, closes, or is too near closing."""
        found = []
        for rule, cells in zip(self._rules, self._cells, strict=True):
            for minute in range(1, (self.end - self.start) // MINUTE):
                if cells[minute] != cells[minute - 1]:
                    edge = self.start + minute * MINUTE
                    for near in (edge, edge - rule.close_margin):
                        found += [near - TICK, near, near + TICK]
        return [at for at in found if self.start <= at < self.end]

    def first_allowed(self, at: datetime) -> datetime | None:
        if self.is_allowed(at):
            return at
        now = at.replace(second=0, microsecond=0) + MINUTE
        while now < self.end:
            if self.is_allowed(now):
                return now
            now += MINUTE
        return None

    def count_open(self, start: datetime, end: datetime) -> int:
        first, last = (start - self.start) // MINUTE, (end - self.start) // MINUTE
        return sum(all(cells[minute] for cells in self._cells) for minute in range(first, last))


def oracle_reads_open(rule: HoursRule, at: datetime) -> bool:
    return all(oracle_reads_open_in(rule, zone, at) for zone in rule.zones)


def oracle_reads_open_in(rule: HoursRule, zone: str, at: datetime) -> bool:
    local = at.astimezone(zone_info(zone))
    today, seconds = local.date(), local.hour * 3600 + local.minute * 60 + local.second
    yesterday = today - timedelta(days=1)
    weekday_spans = rule.windows.weekdays[today.weekday()]
    for span in rule.windows.holiday if is_day_off(rule, today) else weekday_spans:
        closes_today = span.close_s > span.open_s
        if seconds >= span.open_s and (not closes_today or seconds < span.close_s):
            return True
    if is_day_off(rule, today) or is_day_off(rule, yesterday):
        return False
    tails = [span for span in rule.windows.weekdays[yesterday.weekday()] if span.close_s <= span.open_s]
    return any(seconds < span.close_s for span in tails)


def is_day_off(rule: HoursRule, day: date) -> bool:
    return day in rule.holidays.dates and day not in rule.holidays.workdays


def oracle_counts(cap: Cap, call: PastCall, now: datetime, zone: str) -> bool:
    if "*" not in cap.counts and call.outcome not in cap.counts:
        return False
    if any(getattr(call, key) != getattr(TARGET, key) for key in cap.by):
        return False
    event_on, today = (at.astimezone(zone_info(zone)).date() for at in (call.at, now))
    match cap.period:
        case Hours(n):
            return now < call.at + timedelta(hours=n)
        case Days(n):
            return today < event_on + timedelta(days=n)
        case Calendar("day"):
            return today <= event_on
        case Calendar("week"):
            return today.isocalendar()[:2] <= event_on.isocalendar()[:2]
        case Calendar(_):
            return (today.year, today.month) <= (event_on.year, event_on.month)


def assert_not_earlier(changed: datetime | None, before: datetime | None, base: datetime) -> None:
    if before is None:
        # Looked for from a later base, an opening past the first horizon may come into sight.
        assert changed is None or changed > base + HORIZON
    else:
        assert changed is None or changed >= before


# --- What is drawn --------------------------------------------------------------------------------

TARGET = Target(lead="L1", phone="P1", debt="D1")


def spans_of(opens: st.SearchStrategy[int], closes: st.SearchStrategy[int]) -> st.SearchStrategy[Span]:
    return st.builds(Span, opens, closes)


def spans() -> st.SearchStrategy[tuple[Span, ...]]:
    """Whole minutes, drawn towards the hours at which the clocks change, and crossing midnight often."""
    near = st.sampled_from((0, 30, 60, 90, 119, 120, 150, 180, 23 * 60, 23 * 60 + 30, 23 * 60 + 59))
    minutes = st.one_of(near, st.integers(0, 1439))
    closes = st.one_of(minutes, st.just(1440))
    span = spans_of(minutes.map(lambda m: m * 60), closes.map(lambda m: m * 60))
    # Long ones too: of short spans alone, two zones and two rules leave hardly an open minute.
    long = st.sampled_from(((0, DAY), (6 * HOUR, 5 * HOUR), (8 * HOUR, 2 * HOUR), (0, 22 * HOUR), (HOUR, 0)))
    return st.one_of(
        st.lists(span, max_size=3).map(tuple),
        long.map(lambda edges: (Span(*edges),)),
    )


@st.composite
def hours_rules(draw: st.DrawFn, around: datetime, holiday_hours: bool = True) -> HoursRule:
    zone = st.one_of(st.sampled_from(CHANGES.get(around, ZONES)), st.sampled_from(ZONES))
    day = draw(spans())
    weekdays = draw(st.one_of(st.just((day,) * 7), st.tuples(*[spans()] * 7)))
    days = st.integers(-2, 3).map(lambda n: around.date() + timedelta(days=n))
    dates = draw(st.frozensets(days, max_size=3))
    worked = dates if draw(st.booleans()) else frozenset()
    return HoursRule(
        zones=tuple(draw(st.lists(zone, min_size=1, max_size=2))),
        windows=Windows(weekdays, draw(spans()) if holiday_hours else ()),
        holidays=Holidays(dates=dates, workdays=frozenset(sorted(dates)[:1]) & worked),
        close_margin=timedelta(seconds=draw(st.sampled_from(MARGINS))),
        label=draw(st.sampled_from(("", "campaign hours"))),
    )


@st.composite
def situations(
    draw: st.DrawFn, holiday_hours: bool = True, whole_minutes: bool = False
) -> tuple[tuple[HoursRule, ...], datetime]:
    """Rules and an instant around one and the same change of the clock."""
    change = draw(st.sampled_from(list(CHANGES)))
    rules = draw(st.lists(hours_rules(change, holiday_hours), min_size=1, max_size=2))
    at = change + draw(st.integers(-36 * 60, 36 * 60)) * MINUTE
    if not whole_minutes:
        seconds, microseconds = draw(st.sampled_from(((0, 0), (0, 1), (1, 0), (30, 0), (59, 999_999))))
        at += timedelta(seconds=seconds, microseconds=microseconds)
    return tuple(rules), at


def delays() -> st.SearchStrategy[Delay]:
    clock = st.times(max_value=time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0))
    local = st.builds(
        lambda change, minutes: change.replace(tzinfo=None) + minutes * MINUTE,
        st.sampled_from(list(CHANGES)),
        st.integers(-36 * 60, 36 * 60),
    )
    return st.one_of(
        st.just(NoDelay()),
        st.builds(Elapsed, st.integers(0, 3 * 86_400)),
        st.builds(Wall, st.integers(0, 3), st.one_of(st.none(), clock)),
        st.builds(WorkingDays, st.integers(1, 3), st.one_of(st.just("open"), st.just("same"), clock)),
        st.builds(OpenTime, st.integers(0, 6 * 3600)),
        st.builds(AtLocal, local, st.one_of(st.none(), st.sampled_from(ZONES))),
    )


OUTCOMES = ("no_answer", "conversation", "refused", "busy")


def keys_() -> st.SearchStrategy[tuple[str, ...]]:
    return st.sampled_from((("lead",), ("phone",), ("debt",), ("lead", "phone")))


def caps_() -> st.SearchStrategy[Cap]:
    period = st.one_of(
        st.builds(Hours, st.sampled_from((1, 2.5, 24, 72))),
        st.builds(Days, st.integers(1, 8)),
        st.builds(Calendar, st.sampled_from(("day", "week", "month"))),
    )
    counts = st.sampled_from((("*",), ("conversation",), ("no_answer", "busy")))
    return st.builds(Cap, st.integers(1, 3), period, keys_(), counts)


def cooldowns_() -> st.SearchStrategy[Cooldown]:
    wait = st.one_of(st.builds(Hours, st.integers(1, 72)), st.builds(Days, st.integers(1, 8)))
    return st.builds(Cooldown, st.sampled_from((("refused",), ("conversation", "refused"))), wait, keys_())


@st.composite
def past_calls(draw: st.DrawFn, base: datetime) -> PastCall:
    return PastCall(
        at=base - draw(st.integers(0, 6 * 24 * 60)) * MINUTE,
        outcome=draw(st.sampled_from(OUTCOMES)),
        lead=draw(st.sampled_from(("L1", "L1", "L2"))),
        phone=draw(st.sampled_from(("P1", "P1", "P2"))),
        debt=draw(st.sampled_from(("D1", "D1", "D2"))),
    )


def histories(base: datetime) -> st.SearchStrategy[list[PastCall]]:
    return st.lists(past_calls(base), max_size=6)
