from __future__ import annotations

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.hours import zone_info
from scheduler.rules.phones import learn
from scheduler.rules.zones import REGIONS, lead_zones, normal_region, zones_of_region
from tests.each import each

CHILE, SPANISH_MOBILE, NOWHERE = "+56912345678", "+34600000001", "+888123456789"
EVERYTHING = {
    "time_zone": "Asia/Tokyo", "region": "CL-MA", "number": SPANISH_MOBILE, "campaign_zones": ("Europe/Rome",),
    "default_zone": "UTC",
}  # fmt: skip


@each(
    "unknown, zones, source",
    [
        ([], {"Asia/Tokyo"}, "the lead's own zone"),
        (["time_zone"], {"America/Punta_Arenas"}, "the lead's region CL-MA"),
        (["time_zone", "region"], {"Atlantic/Canary", "Europe/Madrid"}, "its number"),
        (["time_zone", "region", "number"], {"Europe/Rome"}, "the campaign"),
        (["time_zone", "region", "number", "campaign_zones"], {"UTC"}, "scheduler_config.timezone"),
    ],
)
def test_the_first_who_knows_the_zone_decides_alone(unknown, zones, source):
    found = find_zones(**{**EVERYTHING, **{name: () if name == "campaign_zones" else None for name in unknown}})

    assert (set(found.zones), found.source) == (zones, source)


@each(
    "region, number, zones, source",
    [
        ("CL", CHILE, {"America/Santiago"}, "its number"),
        ("AR", NOWHERE, {"America/Argentina/Buenos_Aires"}, "the lead's country AR"),
        ("cl_ai", CHILE, {"America/Coyhaique"}, "the lead's region CL-AI"),
        ("ES-TF", SPANISH_MOBILE, {"Atlantic/Canary"}, "the lead's region ES-TF"),
        ("US-TN", None, {"America/New_York", "America/Chicago"}, "the lead's region US-TN"),
        ("CL-RM", CHILE, {"America/Santiago"}, "the lead's region CL-RM"),
        ("ZZ-99", CHILE, {"America/Santiago"}, "its number"),
        ("ZZ", None, {"UTC"}, "scheduler_config.timezone"),
    ],
)
def test_a_region_goes_before_the_number_and_a_bare_country_after_it(region, number, zones, source):
    found = find_zones(region=region, number=number)

    assert (set(found.zones), found.source) == (zones, source)


@each(
    "region, number, country, code",
    [
        (None, CHILE, "CL", None), ("es-ct", CHILE, "ES", "ES-CT"), ("AR", None, "AR", "AR"), (None, None, None, None),
    ],
)  # fmt: skip
def test_the_country_whose_holidays_are_kept_is_that_of_the_region_else_of_the_number(region, number, country, code):
    found = find_zones(region=region, number=number)

    assert (found.country, found.region) == (country, code)


@each("text", ["", " ", "C", "Chile", "12-AB", "?", "CL/RM"])
def test_a_region_that_is_no_code_is_refused(text):
    with pytest.raises(InvalidValue, match="write an ISO code"):
        normal_region(text)


def test_a_zone_that_does_not_exist_is_kept_for_the_hours_to_refuse():
    assert find_zones(time_zone="America/Santigo").zones == ("America/Santigo",)


@each("code", sorted(REGIONS))
def test_every_zone_of_the_table_exists(code):
    assert all(zone_info(zone) for zone in zones_of_region(code))


def find_zones(*, time_zone=None, region=None, number=None, campaign_zones=(), default_zone="UTC"):
    return lead_zones(
        time_zone=time_zone, region=region, traits=learn(number) if number else None,
        campaign_zones=campaign_zones, default_zone=default_zone,
    )
