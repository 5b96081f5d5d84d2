"""Caps and cool-downs for any past, mostly around the clock changes, against walking and counting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scheduler.rules.caps import (
    longest_memory,
    next_release,
    parse_caps,
    parse_cooldowns,
    parse_history,
    parse_target,
    words_counted,
)
from scheduler.rules.hours import HORIZON
from tests.examples import examples
from tests.rules.counting import ALWAYS, QUARTER, TARGET, Situation, instant, is_named

US, EU = ("America/New_York", "America/Los_Angeles"), ("Europe/Madrid", "Atlantic/Canary")
CHANGES = {
    "2027-03-14T07:00": US, "2027-11-07T06:00": US,
    "2027-03-28T01:00": EU, "2027-10-31T01:00": EU,
    "2027-04-04T03:00": ("America/Santiago", "America/Punta_Arenas"), "2027-09-05T04:00": ("America/Santiago",),
    "2027-04-03T15:00": ("Australia/Lord_Howe", "Australia/Perth"), "2027-10-02T15:30": ("Australia/Lord_Howe",),
    # No change: the ends of years and months, on both sides of the date line.
    "2026-12-31T22:00": ("Pacific/Auckland", "Pacific/Pago_Pago"), "2028-02-29T05:00": ("Asia/Kathmandu",),
}  # fmt: skip
WINDOWS = (
    ALWAYS, ALWAYS,
    {"all": [["08:00", "20:00"]]},
    {"mon-fri": [["10:00", "13:00"], ["14:00", "20:00"]], "sat": [["00:00", "02:30"]]},
    {"sun": [["00:00", "24:00"]], "mon": [["00:15", "01:45"]]},
)  # fmt: skip
CLASSES = ("no_answer", "machine", "message_left", "answered_live", "conversation", "third_party", "refused",
           "abandoned", "busy", "failed")  # fmt: skip
OURS = ("completed", "callback", "do_not_call", "hang_up", "voicemail", "invalid_number", "cancelled")
TICK = timedelta(microseconds=1)

usual = settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])


# --- Against walking ------------------------------------------------------------------------------


@usual
@given(st.data())
def test_the_next_call_is_the_first_that_walking_every_quarter_of_an_hour_finds(data: st.DataObject) -> None:
    situation, base = data.draw(situations())
    walked, answer = situation.walk(base, QUARTER, days=40), situation.answer(base)
    if walked is None:
        assert answer is None or answer >= base + timedelta(days=40)
    else:
        assert answer == walked


@usual
@given(st.data())
def test_at_odd_seconds_the_call_is_allowed_and_the_instant_before_is_not(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    answer = situation.answer(base)
    if answer is None:
        return
    assert situation.may_call(answer)
    assert answer == base or (answer > base and not situation.may_call(answer - TICK))
    walked = situation.walk(base, QUARTER, days=40)
    assert walked is None or answer <= walked


# --- What must hold for any of them ---------------------------------------------------------------


@usual
@given(st.data())
def test_asked_again_at_its_answer_it_gives_the_same(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    answer = situation.answer(base)
    assert answer is None or situation.answer(answer) == answer


@usual
@given(st.data())
def test_another_call_cap_cooldown_or_zone_never_gives_an_earlier_call(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    before = situation.answer(base)
    for changes in (
        {"history": [data.draw(past_calls(base, odd=True))]},
        {"caps": [data.draw(caps())]},
        {"cooldowns": [data.draw(cooldowns())]},
        {"zones": [data.draw(st.sampled_from((*US, *EU, "Pacific/Auckland")))]},
    ):
        assert_not_earlier(situation.also(**changes).answer(base), before, base)


@usual
@given(st.data())
def test_asked_later_it_never_answers_earlier(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    later = base + data.draw(st.integers(0, 10 * 96)) * QUARTER
    assert_not_earlier(situation.answer(later), situation.answer(base), base)


@usual
@given(st.data())
def test_the_order_of_calls_caps_cooldowns_and_zones_is_irrelevant(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    turned = Situation(
        situation.zones[::-1], situation.windows, data.draw(st.permutations(situation.caps)),
        data.draw(st.permutations(situation.cooldowns)), data.draw(st.permutations(situation.history)),
    )
    assert turned.answer(base) == situation.answer(base)


@usual
@given(st.data())
def test_calls_older_than_the_longest_memory_change_nothing(data: st.DataObject) -> None:
    situation, base = data.draw(situations(odd=True))
    since = base - longest_memory(parse_caps(situation.caps), parse_cooldowns(situation.cooldowns))
    known = [call for call in situation.history if instant(call["at"]) >= since]
    forgetful = Situation(situation.zones, situation.windows, situation.caps, situation.cooldowns, known)
    assert forgetful.answer(base) == situation.answer(base)


@usual
@given(st.data())
def test_a_call_in_progress_is_waited_for_at_least_as_long_as_whatever_it_turns_out_to_be(
    data: st.DataObject,
) -> None:
    situation, base = data.draw(situations(odd=True))
    call = data.draw(past_calls(base, odd=True))
    still_open = {name: value for name, value in call.items() if name not in ("outcome", "ended_at")}
    waited = release(situation.also(history=[still_open]), base, open_counts=True)
    # It began when it began: only a silence that starts with its end can reach further.
    turned_out = {**still_open, "outcome": data.draw(st.sampled_from((*CLASSES, *OURS)))}
    assert release(situation.also(history=[turned_out]), base) <= waited


@example(["message_left"])
@given(st.lists(st.sampled_from((*CLASSES, *OURS, "*")), min_size=1, max_size=4))
def test_the_words_read_from_the_table_are_those_that_count(names: list[str]) -> None:
    found = words_counted(names)
    assert found == ("*",) or set(found) == {one for one in (*OURS, "no_answer", "busy", "failed")
                                             if is_named(one, names)}  # fmt: skip
    assert (found == ("*",)) == ("*" in names)


# --- What is drawn, and helpers -------------------------------------------------------------------


def release(situation: Situation, at: datetime, *, open_counts: bool = False) -> datetime:
    found, _ = next_release(
        parse_caps(situation.caps), parse_cooldowns(situation.cooldowns), parse_history(situation.history),
        parse_target(TARGET), situation.zones, at, open_counts=open_counts,
    )
    return found


def assert_not_earlier(changed: datetime | None, before: datetime | None, base: datetime) -> None:
    if before is None:
        # Looked for from a later base, an opening past the first horizon may come into sight.
        assert changed is None or changed > base + HORIZON
    else:
        assert changed is None or changed >= before


@st.composite
def situations(draw: st.DrawFn, *, odd: bool = False) -> tuple[Situation, datetime]:
    """Rules and a past around one change of the clock, and the instant to ask for; on quarters, unless `odd`."""
    change = draw(st.sampled_from(list(CHANGES)))
    base = instant(change) + draw(st.integers(-8 * 96, 2 * 96)) * QUARTER
    if odd:
        base += draw(st.timedeltas(timedelta(0), QUARTER))
    zones = draw(st.lists(st.sampled_from(CHANGES[change]), min_size=1, max_size=2, unique=True))
    return Situation(
        zones=tuple(zones),
        windows=draw(st.sampled_from(WINDOWS)),
        caps=draw(st.lists(caps(), max_size=3)),
        cooldowns=draw(st.lists(cooldowns(), max_size=2)),
        history=draw(st.lists(past_calls(base, odd=odd), max_size=7)),
    ), base


def keys() -> st.SearchStrategy[Any]:
    return st.sampled_from((
        "lead", "lead", "phone", "debt", "campaign", "group", ["lead", "subject"], ["lead", "line"], ["phone", "debt"],
    ))


def counted() -> st.SearchStrategy[list[str]]:
    named = st.lists(st.sampled_from((*CLASSES, *OURS)), min_size=1, max_size=4, unique=True)
    return st.one_of(st.just(["*"]), st.sampled_from((["conversation"], ["no_answer", "busy"])), named)


def hours() -> st.SearchStrategy[Any]:
    return st.sampled_from((0.5, 1, 2.5, 12, 24, 72)).map(lambda n: {"hours": n})


def caps() -> st.SearchStrategy[dict[str, Any]]:
    period = st.one_of(
        hours(),
        st.sampled_from((1, 1, 2, 7, 8, 30)).map(lambda n: {"days": n}),
        st.sampled_from(("day", "week", "month")).map(lambda unit: {"calendar": unit}),
    )
    return st.fixed_dictionaries(
        {"max": st.integers(1, 3), "per": period, "by": keys(), "counts": counted()},
    )


def cooldowns() -> st.SearchStrategy[dict[str, Any]]:
    days = st.tuples(st.sampled_from((1, 2, 7)), st.sampled_from(("event", "next")))
    wait = st.one_of(hours(), days.map(lambda one: {"days": one[0], "first_day": one[1]}))
    return st.fixed_dictionaries({"after": counted(), "wait": wait, "by": keys()})


@st.composite
def past_calls(draw: st.DrawFn, base: datetime, *, odd: bool = False) -> dict[str, Any]:
    """One call of the days before, often of the same lead, with or without a known end."""
    ago = draw(st.one_of(st.integers(0, 3 * 96), st.integers(0, 33 * 96))) * QUARTER
    if odd:
        ago += draw(st.timedeltas(timedelta(0), QUARTER))
    at = base - ago
    call = {
        "at": written(at),
        "outcome": draw(st.sampled_from((None, *CLASSES, *OURS))),
        "lead": draw(st.sampled_from(("L1", "L1", "L1", "L2", None))),
        "phone": draw(st.sampled_from(("P1", "P1", "P2", None))),
        "debt": draw(st.sampled_from(("D1", "D1", "D2", None))),
        "subject": draw(st.sampled_from(("S1", "S2", None))),
        "line": draw(st.sampled_from(("mobile", "fixed", None))),
        "campaign": draw(st.sampled_from((7, 7, 8))),
        "group": draw(st.sampled_from(("G1", "G2"))),
        "channel": draw(st.sampled_from(("voice", "voice", "voice", "written"))),
    }
    if call["outcome"] is not None and draw(st.booleans()):
        call["ended_at"] = written(min(base, at + draw(st.sampled_from((0, 1, 4, 96))) * QUARTER))
    return call


def written(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
