from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import (
    CallStatus,
    Campaign,
    CampaignStatus,
    Hold,
    Lead,
    LeadStatus,
    Phone,
    PhoneStatus,
    ScheduledCall,
    ScheduleStatus,
)
from scheduler.rules.eligibility import (
    QUESTIONS,
    Case,
    Closed,
    Dropped,
    Held,
    Later,
    RoundOver,
    Yes,
    judge,
    phones_of,
)
from scheduler.rules.explain import explain
from scheduler.rules.policy import Policy, read_call_settings, read_config
from tests.each import each

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""A Friday, 12:00 in Santiago."""
HOUR, SECOND, MICROSECOND = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
MONDAY_9 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST, SECOND_NUMBER, THIRD = "+56911111111", "+56922222222", "+56933333333"
RULES = {"timezone": "America/Santiago", "working_hours_start": "09:00", "working_hours_end": "20:00"}


# --- yes ------------------------------------------------------------------------------------------------------


def test_a_lead_with_nothing_in_the_way_may_be_called_and_the_hours_are_the_evidence():
    answer = judge(make_case())

    assert isinstance(answer, Yes)
    assert answer.phone.number == FIRST
    assert (answer.span.open_from, answer.span.open_until) == (NOW.replace(hour=12), NOW.replace(hour=23))


@each(
    "position, invalid, barred, dialed",
    [
        (None, [], [], FIRST), (1, [], [], FIRST), (2, [], [], SECOND_NUMBER), (3, [], [], THIRD),
        (1, [1], [], SECOND_NUMBER), (1, [], [FIRST], SECOND_NUMBER), (1, [1], [SECOND_NUMBER], THIRD),
        (2, [2], [], THIRD), (2, [2], [FIRST], THIRD),
    ],
)  # fmt: skip
def test_the_planned_number_is_dialed_else_the_next_after_it_that_can_be(position, invalid, barred, dialed):
    lead = make_lead(phones=phones(FIRST, SECOND_NUMBER, THIRD, invalid=invalid))

    answer = judge(make_case(lead=lead, call=make_call(phone_position=position), barred=dict.fromkeys(barred, "no")))

    assert isinstance(answer, Yes)
    assert answer.phone.number == dialed


@each(
    "position, invalid, barred", [(3, [3], []), (2, [2], [THIRD]), (9, [], []), (2, [], [SECOND_NUMBER, THIRD])]
)
def test_a_number_rung_earlier_in_the_round_is_not_rung_again_in_it(position, invalid, barred):
    lead = make_lead(phones=phones(FIRST, SECOND_NUMBER, THIRD, invalid=invalid))

    answer = judge(make_case(lead=lead, call=make_call(phone_position=position), barred=dict.fromkeys(barred, "no")))

    assert isinstance(answer, RoundOver)


# --- no, and why ----------------------------------------------------------------------------------------------

REFUSALS = [
    ("no lead", {"lead": None}, Dropped, "does not exist"),
    ("closed", {"lead": {"status": LeadStatus.CLOSED, "closed_reason": "paid"}}, Dropped, "closed (paid)"),
    ("suspended", {"lead": {"status": LeadStatus.SUSPENDED}}, Held, "suspended"),
    ("by hand", {"lead": {"manual_management": True}}, Held, "managed by hand"),
    ("unreadable", {"lead": {"variables": None}}, Held, "not a JSON object"),
    ("no campaign", {"lead": {"campaign_id": 7}}, Held, "its campaign 7 does not exist"),
    ("paused", {"campaign": CampaignStatus.PAUSED}, Later, "batch-7 is paused"),
    ("cancelled", {"campaign": CampaignStatus.CANCELLED}, Closed, "batch-7 is cancelled"),
    ("completed", {"campaign": CampaignStatus.COMPLETED}, Dropped, "batch-7 is completed"),
    ("no number", {"lead": {"phone": None, "phones": ()}}, Closed, "no number"),
    ("odd number", {"lead": {"phone": "912345678", "phones": ()}}, Held, "telefono must be like"),
    ("barred", {"barred": {FIRST: "asked"}}, Closed, "do-not-call list"),
    ("exhausted", {"call": {"attempt_number": 4}}, Closed, "attempt 4 of 3 allowed (built-in)"),
    ("too late", {"lead": {"call_until": date(2026, 11, 19)}}, Closed, "2026-11-19"),
    ("engaged", {"engaged": frozenset({FIRST})}, Later, "another call to this number"),
    ("still called", {"is_engaged": True}, Later, "an earlier call to this lead"),
    ("shut", {"now": NOW + 9 * HOUR}, Later, "outside hours"),
    ("never open", {"settings": {"windows": {}}}, Held, "never allowed"),
    ("odd zone", {"lead": {"time_zone": "Chile"}}, Held, "Chile"),
    ("odd region", {"lead": {"region": "?"}}, Held, "ISO code"),
    ("odd deadline", {"lead": {"time_zone": "Chile", "call_until": date(2026, 12, 1)}}, Held, "Chile"),
]


@each("what, given, verdict, says", REFUSALS, ids=[one[0] for one in REFUSALS])
def test_what_stands_in_the_way_is_named(what, given, verdict, says):
    answer = judge(make_case(**given))

    assert isinstance(answer, verdict)
    assert says in answer.reason


@each("what, given, verdict, says", REFUSALS, ids=[one[0] for one in REFUSALS])
def test_whoever_has_to_wait_waits_for_an_instant_in_the_future(what, given, verdict, says):
    case = make_case(**given)

    answer = judge(case)

    assert not isinstance(answer, Later | Held) or answer.at > case.now


@each(
    "given, word",
    [
        ({"lead": {"phone": None, "phones": ()}}, "invalid_number"),
        ({"barred": {FIRST: "asked"}}, "do_not_call"),
        ({"call": {"attempt_number": 4}}, "max_attempts"),
        ({"lead": {"call_until": date(2026, 11, 19)}}, "deadline"),
    ],
)
def test_a_lead_that_is_closed_gets_the_word_for_the_table(given, word):
    assert judge(make_case(**given)).closed_reason == word


@each(
    "given, hold",
    [
        ({"lead": {"manual_management": True}}, Hold.MANUAL),
        ({"lead": {"status": LeadStatus.SUSPENDED}}, Hold.SUSPENDED),
        ({"settings": {"windows": {}}}, Hold.NEVER),
        ({"lead": {"time_zone": "Chile"}}, Hold.ERROR),
    ],
)
def test_a_lead_that_waits_for_people_says_for_what(given, hold):
    assert judge(make_case(**given)).hold is hold


def test_the_first_no_decides():
    everything = make_case(
        lead={"status": LeadStatus.CLOSED, "manual_management": True, "call_until": date(2026, 1, 1)},
        barred={FIRST: "asked"}, call={"attempt_number": 99}, now=NOW + 9 * HOUR,
    )

    assert isinstance(judge(everything), Dropped)


# --- hours ----------------------------------------------------------------------------------------------------


@each(
    "now, opens_at",
    [
        (NOW.replace(hour=11, minute=59), NOW.replace(hour=12)),
        (NOW.replace(hour=23), MONDAY_9),
        (NOW.replace(day=21), MONDAY_9),
    ],
)
def test_a_call_outside_hours_waits_for_the_next_opening(now, opens_at):
    assert judge(make_case(now=now)) == Later(opens_at, judge(make_case(now=now)).reason)


@each(
    "left, may", [(10 * SECOND, True), (10 * SECOND - MICROSECOND, False), (MICROSECOND, False)]
)
def test_a_dial_must_be_able_to_begin_before_closing(left, may):
    closing = NOW.replace(hour=23)

    answer = judge(make_case(now=closing - left))

    assert isinstance(answer, Yes) == may
    if isinstance(answer, Later):
        assert (answer.at, "too close to closing" in answer.reason) == (MONDAY_9, True)


def test_a_number_that_may_be_in_two_zones_needs_both_open():
    mobile = make_lead(phone="+34600000001", phones=())
    # 09:30 in Madrid is 08:30 in the Canaries; 20:30 in Madrid is 19:30 there.
    answers = [
        judge(make_case(lead=mobile, now=datetime(2026, 11, 20, hour, 30, tzinfo=UTC))) for hour in (8, 9, 18, 19)
    ]

    assert [isinstance(one, Yes) for one in answers] == [False, True, True, False]


@each(
    "zone, day, may",
    [
        ("Pacific/Auckland", date(2026, 11, 20), False),  # it is Saturday the 21st there already
        ("America/Santiago", date(2026, 11, 20), True),
        ("Pacific/Honolulu", date(2026, 11, 19), False),
    ],
)
def test_the_last_date_to_call_is_read_on_the_leads_own_calendar(zone, day, may):
    case = make_case(lead={"time_zone": zone, "call_until": day})

    assert isinstance(judge(case), Closed) is not may


# --- attempts -------------------------------------------------------------------------------------------------


@each(
    "status, settings, attempt, may",
    [
        ("no_selected", {}, 3, True), ("no_selected", {}, 4, False), ("busy", {"max_attempts": 5}, 5, True),
        ("busy", {"outcomes": {"busy": {"max_attempts": 5}}}, 5, True),
        ("no_answer", {"outcomes": {"busy": {"max_attempts": 5}}}, 5, False),
        ("error", {"outcomes": {"failed": {"max_attempts": 5}}}, 5, True),
        ("busy", {"outcomes": {"busy": {"max_attempts": 1}}}, 2, False),
        ("no_selected", {"outcomes": {"busy": {"max_attempts": 5}}}, 5, False),
    ],
)  # fmt: skip
def test_the_maximum_is_that_of_the_outcome_that_planned_the_attempt(status, settings, attempt, may):
    case = make_case(lead={"call_status": CallStatus(status)}, call={"attempt_number": attempt}, settings=settings)

    assert isinstance(judge(case), Yes) == may


@each("status", ["selected", "calling"])
@each("attempt, may", [(5, True), (6, False)])
def test_a_row_that_was_given_back_is_judged_by_the_most_that_any_outcome_allows(status, attempt, may):
    case = make_case(
        lead={"call_status": CallStatus(status)}, call={"attempt_number": attempt},
        settings={"outcomes": {"busy": {"max_attempts": 5}}},
    )

    assert isinstance(judge(case), Yes) == may


@each("attempt, may", [(4, True), (6, True), (7, False)])
def test_a_promise_is_kept_beyond_the_maximum_but_not_for_ever(attempt, may):
    assert isinstance(judge(make_case(call={"attempt_number": attempt, "promise": True})), Yes) == may


# --- the numbers of a lead ------------------------------------------------------------------------------------


@each(
    "telefono, rows, numbers",
    [
        (FIRST, (), [(1, FIRST)]),
        (None, (), []),
        (None, ((1, FIRST),), [(1, FIRST)]),
        (FIRST, ((1, FIRST), (2, SECOND_NUMBER)), [(1, FIRST), (2, SECOND_NUMBER)]),
        (THIRD, ((1, FIRST), (2, SECOND_NUMBER)), [(1, THIRD), (2, SECOND_NUMBER)]),
        (FIRST, ((2, SECOND_NUMBER),), [(1, FIRST), (2, SECOND_NUMBER)]),
    ],
)
def test_the_first_number_mirrors_telefono_whatever_people_wrote(telefono, rows, numbers):
    lead = make_lead(phone=telefono, phones=tuple(Phone(1, position, number) for position, number in rows))

    assert [(one.position, one.number) for one in phones_of(lead)] == numbers


def test_a_number_changed_by_hand_is_untried():
    lead = make_lead(phone=SECOND_NUMBER, phones=phones(FIRST, invalid=[1]))

    assert [one.status for one in phones_of(lead)] == [PhoneStatus.ACTIVE]


# --- explaining -----------------------------------------------------------------------------------------------


def test_an_explanation_answers_every_question_not_only_the_first():
    answers = explain(make_case(lead={"manual_management": True}, call={"attempt_number": 9}, now=NOW + 9 * HOUR))

    refused = [one.question for one in answers if not one.is_yes]
    assert len(answers) == len(QUESTIONS)
    assert refused == ["not managed by hand?", "attempts left?", "inside calling hours?"]


@each("given", [{"lead": None}, {"lead": {"phone": None, "phones": ()}}])
def test_an_explanation_stops_where_there_is_nothing_more_to_ask(given):
    assert 0 < len(explain(make_case(**given))) < len(QUESTIONS)


@given(st.sampled_from(REFUSALS), st.sampled_from(REFUSALS))
def test_the_gate_and_its_explanation_agree(one, other):
    case = make_case(**{**one[1], **other[1]})

    answers = [answer.verdict for answer in explain(case) if answer.verdict is not None]

    assert answers[0] == judge(case)


# --- what this file needs -------------------------------------------------------------------------------------


def make_case(*, lead=(), call=(), campaign=None, settings=None, now=NOW, **more) -> Case:
    """A call that may be placed, but for what is said."""
    if lead is not None and not isinstance(lead, Lead):
        lead = make_lead(**dict(lead))
    if campaign is not None and lead is not None:
        lead, campaign = replace(lead, campaign_id=7), Campaign(7, "batch-7", "Seven", campaign, 0, None, None)
    return Case(
        now=now, lead=lead, call=call if isinstance(call, ScheduledCall) else make_call(**dict(call)),
        campaign=campaign, policy=Policy(read_config(RULES), read_call_settings(settings)),
        dial_budget=10 * SECOND, **more,
    )


def make_lead(**columns) -> Lead:
    return Lead(**{
        "id": 1, "campaign_id": None, "first_name": "Ana", "last_name": "Soto", "phone": FIRST,
        "status": LeadStatus.OPEN, "closed_reason": None, "closed_at": None, "manual_management": False,
        "call_status": CallStatus.NO_SELECTED, "call_attempts_count": 0, "time_zone": None, "region": None,
        "priority": 0, "call_until": None, **columns,
    })


def make_call(**columns) -> ScheduledCall:
    return ScheduledCall(**{
        "id": 1, "lead_id": 1, "campaign_id": None, "scheduled_at": NOW, "attempt_number": 1, "phone_position": 1,
        "status": ScheduleStatus.PENDING, **columns,
    })


def phones(*numbers: str, invalid=()) -> tuple[Phone, ...]:
    return tuple(
        Phone(1, position, number, PhoneStatus.INVALID if position in invalid else PhoneStatus.ACTIVE)
        for position, number in enumerate(numbers, 1)
    )
