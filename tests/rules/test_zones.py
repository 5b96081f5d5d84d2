from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.hours import zone_info
from scheduler.rules.phones import learn
from scheduler.rules.subdivisions import _regions, normal_region
from scheduler.rules.zones import REGIONS, lead_zones, zones_of_region
from tests.each import each

CHILE, SPANISH_MOBILE, NOWHERE = "+56912345678", "+34600000001", "+888123456789"
PARIS, REUNION, RAPA_NUI = "+33612345678", "+262692123401", "+56322100409"
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
        ("FR-75", PARIS, {"Europe/Paris"}, "the lead's region FR-75"),
        ("FR-974", REUNION, {"Indian/Reunion"}, "the lead's region FR-974"),
        ("FR", REUNION, {"Indian/Reunion", "Indian/Mayotte", "Europe/Paris"},
         "its number and, as the lead's country is FR, every clock of FR"),
        ("FR-QQQ", REUNION, {"Indian/Reunion", "Indian/Mayotte", "Europe/Paris"},
         "its number and, as no region FR-QQQ is known, every clock of FR"),
        ("CL-QQ", CHILE, {"America/Santiago", "America/Coyhaique", "Pacific/Easter"},
         "its number and, as no region CL-QQ is known, every clock of CL"),
        ("CL-VS", RAPA_NUI, {"America/Santiago", "Pacific/Easter"}, "the lead's region CL-VS"),
        ("ES-GC", SPANISH_MOBILE, {"Atlantic/Canary"}, "the lead's region ES-GC"),
        ("ES-ML", SPANISH_MOBILE, {"Europe/Madrid"}, "the lead's region ES-ML"),
        ("Canarias", SPANISH_MOBILE, {"Atlantic/Canary"}, "the lead's region ES-CN"),
        ("PT-20", None, {"Atlantic/Azores"}, "the lead's region PT-20"),
        ("BR-PE", None, {"America/Recife", "America/Noronha"}, "the lead's region BR-PE"),
        ("NL-BQ1", None, {"America/Kralendijk"}, "the lead's region NL-BQ1"),
        ("US-VI", None, {"America/St_Thomas"}, "the lead's region US-VI"),
        ("UK-SCT", None, {"Europe/London"}, "the lead's region GB-SCT"),
        ("GP", None, {"America/Guadeloupe"}, "the lead's country GP"),
        ("CA-BC", None, {"America/Vancouver", "America/Edmonton", "America/Creston", "America/Fort_Nelson"},
         "the lead's region CA-BC"),
        ("AU-SA", None, {"Australia/Adelaide", "Australia/Eucla"}, "the lead's region AU-SA"),
        ("RU-SA", None, {"Asia/Yakutsk", "Asia/Vladivostok", "Asia/Srednekolymsk"}, "the lead's region RU-SA"),
        ("DE-BY", SPANISH_MOBILE, {"Europe/Berlin"}, "the lead's region DE-BY"),
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


def test_the_clocks_of_countries_are_those_of_the_zone_database():
    countries = clocks_of_the_database()

    assert {country: len(clocks) for country, clocks in countries.items()} == {
        country: len(zones_of_region(country)) for country in countries
    }
    for country, clocks in countries.items():
        assert {clock_of(zone) for zone in zones_of_region(country)} == clocks, country


def test_every_clock_of_a_country_on_several_is_that_of_some_region():
    for country, clocks in clocks_of_the_database().items():
        regions = [f"{country}-{one}" for one in _regions().get(country, ())]
        if len(clocks) > 1 and regions and country != "GL":  # where no people are, no region is
            assert {clock_of(zone) for one in regions for zone in zones_of_region(one)} >= clocks, country


def test_no_region_has_the_clock_of_another_country():
    countries = clocks_of_the_database()
    for region, zones in REGIONS.items():
        assert {clock_of(zone) for zone in zones} <= countries[region[:2]], region


def test_every_region_that_is_known_has_a_clock():
    assert [
        f"{country}-{one}" for country, own in _regions().items() for one in own
        if zones_of_region(country) and not zones_of_region(f"{country}-{one}")
    ] == []


def clocks_of_the_database():
    """What clocks the people of each country live by, as zone.tab says."""
    found = {}
    for line in files("tzdata").joinpath("zoneinfo/zone.tab").read_text().splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, set()).add(clock_of(zone))
    return found


@cache
def clock_of(zone):
    first = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple((first + timedelta(hours=6 * at)).astimezone(zone_info(zone)).utcoffset() for at in range(4 * 365 * 2))


def find_zones(*, time_zone=None, region=None, number=None, campaign_zones=(), default_zone="UTC"):
    return lead_zones(
        time_zone=time_zone, region=region, traits=learn(number) if number else None,
        campaign_zones=campaign_zones, default_zone=default_zone,
    )
