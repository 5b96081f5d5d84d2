from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from scheduler.config import Settings
from scheduler.errors import InvalidValue
from scheduler.model import Outcome
from scheduler.providers.base import Phase
from scheduler.providers.network import (
    MYSTERY,
    STOPPED_RINGING,
    STOPPED_TALKING,
    WORDS,
    Fault,
    FaultPlan,
    SimulatedNetwork,
    parse_faults,
    parse_mix,
    shorten,
)
from scheduler.providers.simulator import OUTCOMES, translate
from tests.each import each

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EVERYTHING = ",".join(f"{name}=1" for name in WORDS)


def test_a_mix_gives_weights_by_outcome():
    assert parse_mix("completed=35, no_answer = 30,busy=0,mystery=0.5") == {
        Outcome.COMPLETED: 35,
        Outcome.NO_ANSWER: 30,
        MYSTERY: 0.5,
    }


def test_the_default_mix_is_a_mix():
    assert sum(parse_mix(Settings.model_fields["simulator_mix"].default).values()) == pytest.approx(100)


@each(
    "text",
    [
        "",
        "completed",
        "completed=",
        "completed=many",
        "completed=-1,busy=5",
        "completed=0",
        "completed=nan",
        "completed=inf",
        "cancelled=1",
        "answered=1",
        "busy=1,busy=2",
        "busy=1,",
        "busy=1e308,completed=1e308,failed=1e308",
    ],
)
def test_a_mix_that_says_nothing_clear_is_refused(text: str):
    with pytest.raises(InvalidValue) as refused:
        parse_mix(text)
    assert "completed=35" in str(refused.value)


def test_faults_are_probabilities():
    assert parse_faults(" ") == {}
    assert parse_faults("refuse=0.05,lose_answer=0,lookup_error=1") == {
        Fault.REFUSE: 0.05,
        Fault.LOOKUP_ERROR: 1,
    }


@each(
    "text", ["refuse=1.1", "refuse=0.6,hold=0.5", "refuse=-0.1", "explode=0.1", "refuse", "lookup_error=2"]
)
def test_faults_that_are_no_probabilities_are_refused(text: str):
    with pytest.raises(InvalidValue):
        parse_faults(text)


def test_a_fate_follows_from_seed_and_reference_alone():
    tokens = [f"ref-{number}" for number in range(500)]

    assert [network(seed=7).fate(token) for token in tokens] == [network(seed=7).fate(token) for token in tokens]
    assert [network(seed=7).fate(token) for token in tokens] != [network(seed=8).fate(token) for token in tokens]


def test_a_fate_stays_what_it_was_in_earlier_releases():
    fates = [network(seed=1).fate(f"ref-{number}").kind for number in range(8)]

    assert fates == [
        "no_answer",
        "no_answer",
        "busy",
        "failed",
        "completed",
        "invalid_number",
        "completed",
        "failed",
    ]


def test_fates_come_in_the_proportions_of_the_mix():
    drawn = Counter(network(mix="completed=50,busy=30,mystery=20").fate(str(n)).kind for n in range(20_000))

    assert drawn["completed"] / 20_000 == pytest.approx(0.5, abs=0.02)
    assert drawn["busy"] / 20_000 == pytest.approx(0.3, abs=0.02)
    assert drawn[MYSTERY] / 20_000 == pytest.approx(0.2, abs=0.02)


def test_every_outcome_of_the_mix_is_told_as_that_outcome():
    for name in WORDS:
        end = ended(name)
        report = translate("sim-x", "x", end)
        if name == MYSTERY:
            assert (report.outcome, report.known_word) == (Outcome.FAILED, False)
            assert report.provider_status == WORDS[MYSTERY]
        else:
            assert (report.outcome, report.known_word) == (Outcome(name), True)


def test_every_outcome_but_cancelled_can_be_drawn_and_every_word_is_translated():
    assert set(WORDS) - {MYSTERY} == set(Outcome) - {Outcome.CANCELLED}
    assert set(OUTCOMES) == set(WORDS.values()) - {WORDS[MYSTERY]} | {STOPPED_RINGING, STOPPED_TALKING}


def test_a_word_nobody_knows_on_a_call_that_goes_on_ends_nothing():
    going_on = ended("completed")._replace(word="transferring", ended_at=None)

    report = translate("sim-x", "x", going_on)

    assert report.phase is Phase.DIALING
    assert report.outcome is None
    assert not report.known_word


def test_a_call_rings_then_talks_then_ends():
    line = network(mix="completed=1")
    fate = line.fate("a")
    picked_up_at = NOON + fate.ring
    over_at = picked_up_at + fate.talk
    moment = timedelta(microseconds=1)

    assert line.sight("a", NOON, NOON).word == "ringing"
    assert line.sight("a", NOON, picked_up_at - moment).word == "ringing"
    assert line.sight("a", NOON, picked_up_at).word == "in-call"
    assert line.sight("a", NOON, over_at - moment).word == "in-call"
    end = line.sight("a", NOON, over_at)
    assert (end.word, end.answered_at, end.ended_at) == ("ended-completed", picked_up_at, over_at)
    assert end.talk_seconds == round(fate.talk.total_seconds())


def test_times_stay_within_half_and_one_and_a_half_of_those_given():
    fates = [network(mix="completed=1").fate(str(number)) for number in range(500)]

    assert all(timedelta(seconds=10) <= fate.ring <= timedelta(seconds=30) for fate in fates)
    assert all(timedelta(seconds=30) <= fate.talk <= timedelta(seconds=90) for fate in fates)
    assert len({fate.ring for fate in fates}) > 400


@each("name", ["no_answer", "busy", "failed", "invalid_number"])
def test_nobody_talks_on_a_call_that_was_not_answered(name: str):
    end = ended(name)

    assert (end.answered_at, end.talk_seconds, end.cost) == (None, 0, 0)


def test_without_durations_every_call_is_over_at_once():
    line = SimulatedNetwork(seed=1, mix=parse_mix(EVERYTHING))

    assert all(line.sight(str(number), NOON, NOON).ended_at == NOON for number in range(500))


def test_a_callback_is_asked_for_some_minutes_after_the_end():
    line = network(mix="callback=1")
    end = line.sight("a", NOON, NOON + timedelta(hours=1))
    report = translate("sim-a", "a", end)

    assert end.ended_at is not None
    assert end.callback_at == end.ended_at + timedelta(minutes=3)
    assert report.callback_at == end.callback_at.replace(tzinfo=None)
    assert report.callback_zone == "UTC"


def test_some_completed_calls_book_an_appointment_within_the_week():
    line = network(mix="completed=1")
    ends = [line.sight(str(number), NOON, NOON + timedelta(hours=1)) for number in range(500)]
    booked = [end.appointment_at for end in ends if end.appointment_at]

    assert 50 < len(booked) < 150
    assert all(NOON < at < NOON + timedelta(days=7) for at in booked)


def test_a_call_stopped_while_ringing_was_not_answered():
    line = network(mix="completed=1")
    stopped_at = NOON + timedelta(seconds=5)

    end = line.sight("a", NOON, stopped_at, stopped_at)

    assert (end.word, end.answered_at, end.ended_at) == (STOPPED_RINGING, None, stopped_at)
    assert OUTCOMES[end.word] is Outcome.NO_ANSWER


def test_a_call_stopped_while_talking_counts_the_talk_so_far():
    line = network(mix="completed=1")
    stopped_at = NOON + line.fate("a").ring + timedelta(seconds=7)

    end = line.sight("a", NOON, stopped_at, stopped_at)

    assert (end.word, end.ended_at, end.talk_seconds) == (STOPPED_TALKING, stopped_at, 7)
    assert OUTCOMES[end.word] is Outcome.HANG_UP


def test_stopping_after_the_end_changes_nothing():
    line = network(mix="completed=1")
    later = NOON + timedelta(hours=1)

    assert line.sight("a", NOON, later, later) == line.sight("a", NOON, later)


def test_what_is_seen_never_goes_back():
    line = network(mix=EVERYTHING)
    order = ["dialing", "ringing", "in-call", "ended"]

    for number in range(200):
        words = [line.sight(str(number), NOON, NOON + timedelta(seconds=step)).word for step in range(0, 140, 5)]
        places = [order.index("ended" if word.startswith("ended") else word) for word in words]
        assert all(before <= after for before, after in pairwise(places))
        assert places[-1] == 3


def test_the_same_reference_meets_the_same_fault_each_time():
    plan = FaultPlan(parse_faults("refuse=0.2,hold=0.1,lose_answer=0.1"), seed=3)
    refs = [str(number) for number in range(5000)]
    met = [plan.at_start(ref) for ref in refs]

    assert met == [FaultPlan(parse_faults("refuse=0.2,hold=0.1,lose_answer=0.1"), seed=3).at_start(r) for r in refs]
    share = {fault: count / len(refs) for fault, count in Counter(met).items()}
    assert share[Fault.REFUSE] == pytest.approx(0.2, abs=0.03)
    assert share[Fault.HOLD] == pytest.approx(0.1, abs=0.03)
    assert share[None] == pytest.approx(0.6, abs=0.03)


def test_a_certain_fault_is_certain_and_none_is_none():
    certain, none = FaultPlan({Fault.HOLD: 1.0}, seed=1), FaultPlan({}, seed=1)

    assert {certain.at_start(str(number)) for number in range(2000)} == {Fault.HOLD}
    assert {none.at_start(str(number)) for number in range(2000)} == {None}


def test_faults_do_not_follow_the_fates():
    plan, line = FaultPlan({Fault.LOSE_ANSWER: 0.5}, seed=1), network(mix="completed=1,busy=1")
    lost = [str(n) for n in range(4000) if plan.at_start(str(n))]

    completed = sum(line.fate(ref).kind == "completed" for ref in lost)

    assert completed / len(lost) == pytest.approx(0.5, abs=0.04)


def test_lookup_errors_are_drawn_for_each_question():
    plan = FaultPlan({Fault.LOOKUP_ERROR: 0.3}, seed=1)

    assert sum(plan.lookup_fails(number) for number in range(5000)) / 5000 == pytest.approx(0.3, abs=0.03)
    assert plan.at_start("a") is None


@each(("number", "short"), [("+56912345678", "+569****5678"), ("+5691234", "****"), ("", "****")])
def test_a_number_is_shortened(number: str, short: str):
    assert shorten(number) == short


def network(*, seed: int = 1, mix: str | None = None) -> SimulatedNetwork:
    return SimulatedNetwork(
        seed=seed,
        mix=parse_mix(mix or Settings.model_fields["simulator_mix"].default),
        ring=timedelta(seconds=20),
        talk=timedelta(seconds=60),
        callback_after=timedelta(minutes=3),
    )


def ended(name: str):
    return network(mix=f"{name}=1").sight("a", NOON, NOON + timedelta(hours=1))
