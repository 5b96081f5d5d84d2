from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.rules.pacing import (
    DOUBLES_EVERY,
    FAULTS_TO_OPEN,
    FIRST_REST,
    FULL_PACE,
    LEAST_RATE,
    LONGEST_REST,
    SEND_TOLERANCE,
    Breaker,
    Claim,
    list_slots,
    share_out,
    slot_step,
)
from tests.each import each

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# --- sharing ---------------------------------------------------------------------------------------------------


@each(
    "places, claims, shares",
    [
        (10, [], {}),
        (0, [("a", 0, 5)], {}),
        (10, [("a", 0, 3)], {"a": 3}),
        (2, [("a", 0, 5)], {"a": 2}),
        (4, [("a", 0, 9), ("b", 0, 9)], {"a": 2, "b": 2}),
        (5, [("a", 0, 9), ("b", 0, 9)], {"a": 3, "b": 2}),
        (10, [("a", 0, 1), ("b", 0, 99)], {"a": 1, "b": 9}),
        (2, [("a", 0, 9), ("b", 0, 9), ("c", 0, 9)], {"a": 1, "b": 1}),
        (10, [("a", 0, 0), ("b", 0, 9)], {"b": 9}),
        (5, [("high", 9, 4), ("low", 0, 9)], {"high": 4, "low": 1}),
        (3, [("high", 9, 4), ("low", 0, 9)], {"high": 3}),
        (6, [("x", 5, 2), ("y", 5, 2), ("low", 1, 9)], {"x": 2, "y": 2, "low": 2}),
    ],
)
def test_places_are_shared_by_priority_and_then_evenly(places, claims, shares):
    assert share_out(places, [Claim(*one) for one in claims]) == shares


CLAIMS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=8).map(
    lambda wishes: [
        Claim(number, priority, room)
        for number, (priority, room) in enumerate(sorted(wishes, key=lambda wish: -wish[0]))
    ]
)


@given(st.integers(0, 40), CLAIMS)
def test_shares_fit_the_places_and_the_rooms_and_leave_no_place_unused(places, claims):
    shares = share_out(places, claims)

    assert sum(shares.values()) == min(places, sum(one.room for one in claims))
    assert all(0 < shares[one.key] <= one.room for one in claims if one.key in shares)


@given(st.integers(0, 40), CLAIMS)
def test_nobody_gets_two_while_an_equal_with_room_gets_none(places, claims):
    shares = share_out(places, claims)

    for one in claims:
        if one.room and one.key not in shares:
            assert all(shares.get(other.key, 0) < 2 for other in claims if other.priority == one.priority)
            assert all(other.key not in shares for other in claims if other.priority < one.priority)


@given(st.integers(0, 40), CLAIMS, st.integers(0, 9), st.integers(0, 9), st.randoms())
def test_what_several_draw_from_is_never_overdrawn_and_used_up_first(places, claims, first, second, chance):
    draws = [(), ("provider",), ("account",), ("provider", "account")]
    claims = [replace(one, draws=chance.choice(draws)) for one in claims]
    rooms = {"provider": first, "account": second}

    shares = share_out(places, claims, rooms)

    for name, room in rooms.items():
        assert sum(shares.get(one.key, 0) for one in claims if name in one.draws) <= room
    left = {name: room - sum(shares.get(one.key, 0) for one in claims if name in one.draws)
            for name, room in rooms.items()}
    if sum(shares.values()) < places:
        for one in claims:
            is_full = shares.get(one.key, 0) == one.room
            assert is_full or any(left[name] == 0 for name in one.draws), "no place is left unused"


def test_the_next_place_goes_to_the_one_with_fewer_calls_and_then_to_the_one_that_waited_longer():
    busy, idle = Claim("busy", 0, 9, in_use=3), Claim("idle", 0, 9, in_use=1)
    recent, long_ago, never = (
        Claim(name, 0, 9, served_at=at)
        for name, at in (("recent", NOW), ("long_ago", NOW - SECOND), ("never", None))
    )

    assert share_out(3, [busy, idle]) == {"idle": 2, "busy": 1}
    assert share_out(1, [recent, long_ago]) == {"long_ago": 1}
    assert share_out(2, [recent, long_ago, never]) == {"never": 1, "long_ago": 1}


# --- so many a second --------------------------------------------------------------------------------------------


@given(st.floats(0.02, 60), st.lists(st.floats(0, 0.2), min_size=1, max_size=300))
def test_no_second_sees_more_requests_than_the_rate_however_late_in_their_slots_they_are_sent(rate, late):
    slots = list_slots(None, NOW, rate, NOW + timedelta(seconds=min(len(late) / rate, 300)))
    sent = sorted(slot + timedelta(seconds=by) for slot, by in zip(slots, late, strict=False))
    window = timedelta(seconds=1) if rate >= 1 else timedelta(seconds=1 / rate)

    for number, first in enumerate(sent):
        inside = sum(one < first + window for one in sent[number:])
        assert inside <= max(1, int(rate)), f"{inside} requests within {window}"


def test_slots_go_on_where_the_last_ones_ended_and_never_lie_in_the_past():
    slots = list_slots(NOW + SECOND / 2, NOW, 10, NOW + SECOND)

    assert slots[0] == NOW + SECOND / 2
    assert list_slots(NOW - SECOND, NOW, 10, NOW + SECOND)[0] == NOW
    assert list_slots(NOW + 2 * SECOND, NOW, 10, NOW + SECOND) == []
    assert slot_step(10) == (SECOND + SEND_TOLERANCE) / 10 + timedelta(microseconds=1)


# --- the breaker -------------------------------------------------------------------------------------------------


def test_a_provider_without_faults_may_be_asked_for_anything():
    assert Breaker().room(NOW, in_flight=10_000) is None


def test_it_opens_after_so_many_faults_in_a_row_and_not_before():
    breaker = Breaker()
    for _ in range(FAULTS_TO_OPEN - 1):
        breaker = breaker.failed(NOW)
    assert not breaker.is_open(NOW)

    assert breaker.failed(NOW).is_open(NOW)
    assert not breaker.succeeded(NOW).failed(NOW).is_open(NOW)


def test_a_bad_key_or_throttling_opens_it_at_once():
    assert Breaker().failed(NOW, at_once=True).room(NOW, 0) == 0


@each("rest, opens_again", [(None, 5), (SECOND, 5), (90 * SECOND, 90), (timedelta(days=1), 86_400)])
def test_it_rests_as_long_as_the_provider_asks_and_never_less_than_its_own_rest(rest, opens_again):
    breaker = Breaker().failed(NOW, at_once=True, rest=rest)

    assert breaker.is_open(NOW + (opens_again - 1) * SECOND)
    assert not breaker.is_open(NOW + opens_again * SECOND)


def test_after_its_rest_one_call_goes_through_as_a_probe():
    breaker = Breaker().failed(NOW, at_once=True)

    assert breaker.room(NOW + FIRST_REST, in_flight=0) == 1
    assert breaker.room(NOW + FIRST_REST, in_flight=1) == 0


def test_a_probe_that_fails_doubles_the_rest_up_to_a_limit():
    breaker, now, rests = Breaker(), NOW, []
    for _ in range(10):
        breaker = breaker.failed(now, at_once=True)
        assert breaker.open_until is not None
        rests.append(breaker.open_until - now)
        now = breaker.open_until

    assert rests[:4] == [FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST, 8 * FIRST_REST]
    assert rests[-1] == LONGEST_REST


def test_a_failed_probe_needs_no_further_faults_to_open_it_again():
    breaker = Breaker().failed(NOW, at_once=True)
    later = NOW + FIRST_REST

    assert breaker.failed(later).is_open(later)


def test_late_answers_to_calls_placed_before_it_opened_say_nothing_new():
    breaker = Breaker().failed(NOW, at_once=True)

    assert breaker.failed(NOW + SECOND) == breaker


def test_good_answers_to_calls_placed_before_it_opened_do_not_close_it():
    breaker = Breaker().failed(NOW, at_once=True)

    assert breaker.succeeded(NOW + SECOND) == breaker


def test_a_provider_that_recovers_is_used_slowly_at_first():
    breaker, paces = Breaker().failed(NOW, at_once=True), []
    while breaker.pace is not None:
        paces.append(breaker.pace)
        breaker = breaker.succeeded(NOW + FIRST_REST)

    assert paces == [1, 2, 4, 8, 16, 32, FULL_PACE]
    assert breaker == Breaker()


# --- throttled ---------------------------------------------------------------------------------------------------


def test_being_throttled_halves_the_rate_and_time_brings_it_back():
    breaker = Breaker().throttled(NOW, rate=40)
    rates = [breaker.calls_per_second(NOW + times * DOUBLES_EVERY) for times in range(4)]

    assert rates == [20, 40, 80, 160]
    assert breaker.calls_per_second(NOW + 5 * DOUBLES_EVERY) is None
    assert breaker.pace is None


def test_requests_throttled_together_are_one_word_of_the_provider():
    breaker = Breaker()
    for number in range(20):
        breaker = breaker.throttled(NOW + number * SECOND / 20, rate=40)

    assert breaker.rate == 20


def test_throttled_again_it_halves_what_had_grown_and_never_stops_altogether():
    breaker, now, rates = Breaker(), NOW, []
    for _ in range(12):
        breaker = breaker.throttled(now, rate=40)
        rates.append(breaker.rate)
        now += 3 * SECOND

    assert rates == sorted(rates, reverse=True)
    assert rates[-1] >= LEAST_RATE


@each("wait, silent_for", [(None, 1), (SECOND / 4, 1), (20 * SECOND, 20), (timedelta(days=1), 300)])
def test_a_throttled_provider_is_left_alone_for_as_long_as_it_asks(wait, silent_for):
    breaker = Breaker().throttled(NOW, rate=5, wait=wait)

    assert breaker.room(NOW + (silent_for - 0.1) * SECOND, in_flight=0) == 0
    assert breaker.room(NOW + silent_for * SECOND, in_flight=0) is None


@given(st.lists(
    st.tuples(st.sampled_from(["throttled", "failed", "succeeded", "hold"]), st.floats(0, 120)), max_size=60
))
def test_whatever_a_provider_says_it_is_asked_again_some_time(answers):
    breaker, now = Breaker(), NOW
    for word, later in answers:
        now += timedelta(seconds=later)
        breaker = {
            "throttled": lambda: breaker.throttled(now, rate=10),  # noqa: B023
            "failed": lambda: breaker.failed(now), "succeeded": lambda: breaker.succeeded(now),  # noqa: B023
            "hold": lambda: breaker.failed(now, at_once=True),  # noqa: B023
        }[word]()

    later = now + LONGEST_REST + SECOND
    assert breaker.room(later, in_flight=0) != 0
    assert (breaker.calls_per_second(later) or LEAST_RATE) >= LEAST_RATE
