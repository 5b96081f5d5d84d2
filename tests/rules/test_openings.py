"""Openings for many planned calls are those that asking call by call gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduler.errors import InvalidValue
from scheduler.rules.hours import explain_closed, next_allowed
from scheduler.rules.openings import Openings, whereabouts
from scheduler.rules.phones import is_e164, learn
from scheduler.rules.policy import Policy, read_call_settings, read_config
from scheduler.rules.zones import lead_zones

NUMBERS = [
    None, "", "56955501085", "+56955501085", "+56222555100", "+34600000001", "+34911234567", "+12025550123",
    "+18005550123", "+5491123456789", "+999123456789", "+888123456789", "+61491570006",
]
ZONES = [None, None, "America/Santiago", "Europe/Madrid", "Atlantic/Canary", "Australia/Lord_Howe", "Chile/Nowhere"]
REGIONS = [None, None, "CL", "CL-MA", "ES-CT", "US-AZ", "MX-CHH", "ZZ", "?"]
# The clocks change in Santiago, in Madrid and New York, and on Lord Howe, where they do so by half an hour.
CHANGES = [
    datetime(2026, 9, 6, 4, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),
]  # fmt: skip
SETTINGS = [
    {}, {"allowed_hours": {"start": "10:00", "end": "18:00"}, "days_of_week": [1, 2, 3, 4, 5, 6]},
    {"allowed_hours": {"start": "00:00", "end": "24:00"}, "days_of_week": [1, 2, 3, 4, 5, 6, 7]},
    {"overnight": True, "windows": {"mon-fri": [["22:00", "02:00"]], "sat": [["09:00", "13:00"], ["15:00", "17:00"]]}},
    {"windows": {"hol": [["09:00", "10:00"]]}}, {"windows": {"all": [["01:30", "02:30"]]}, "close_margin_s": 300},
    {"holidays": {"calendars": ["CL", "ES", "US"]}, "zones": ["America/Santiago", "Asia/Tokyo"]},
    {"preset": "cl"}, {"timezone": "Pacific/Kiritimati"},
]  # fmt: skip
instants = st.builds(
    lambda near, seconds: near + timedelta(seconds=seconds),
    st.sampled_from(CHANGES), st.floats(-12 * 86_400, 12 * 86_400, allow_nan=False),
)


def policy_of(document: dict[str, object]) -> Policy:
    return Policy(read_config({"timezone": "America/Bogota"}), read_call_settings(document))


def one_by_one(
    policy: Policy, number: str | None, zone: str | None, region: str | None, at: datetime
) -> datetime | None:
    try:
        where = lead_zones(
            time_zone=zone, region=region, traits=learn(number) if number and is_e164(number) else None,
            campaign_zones=policy.zones, default_zone=policy.default_zone,
        )
        return next_allowed(policy.hours(where), at)
    except InvalidValue:
        return None


calls = st.lists(
    st.tuples(st.sampled_from(NUMBERS), st.sampled_from(ZONES), st.sampled_from(REGIONS), instants),
    min_size=1, max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SETTINGS), instants, calls)
@example({}, datetime(2026, 11, 2, 8, 30, tzinfo=UTC), [
    ("+34600000001", None, None, CHANGES[0]), ("+34911234567", None, None, CHANGES[0]),
])  # two clocks of one country: nine has struck on the peninsula alone
@example({"preset": "cl"}, CHANGES[0], [("+999123456789", "Europe/Madrid", "ES-CT", CHANGES[1])])
def test_openings_of_many_calls_are_those_of_each_call_by_itself(document, now, planned):
    policy = policy_of(document)
    openings = Openings(policy, now)

    for number, zone, region, wanted_at in planned:
        found = openings.opening(whereabouts(number, zone, region), number, wanted_at)

        assert found == one_by_one(policy_of(document), number, zone, region, max(wanted_at, now))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SETTINGS), instants, instants)
def test_why_a_call_waits_is_said_as_for_one_call(document, now, wanted_at):
    openings = Openings(policy_of(document), now)
    place = openings.place(whereabouts("+56955501085", None, None), "+56955501085")

    assert openings.explain(place, wanted_at) == explain_closed(place.rules, max(wanted_at, now))
