from __future__ import annotations

from datetime import date

import pytest

from scheduler.errors import InvalidValue
from scheduler.rules.holiday_calendars import Holidays, calendar_of, narrow_holidays
from scheduler.rules.policy import Policy, read_call_settings, read_config
from scheduler.rules.subdivisions import _names, _regions, lineage, normal_region, read_region
from tests.each import each

PROVINCES = [
    "A", "AB", "AL", "AV", "B", "BA", "BI", "BU", "C", "CA", "CC", "CO", "CR", "CS", "CU", "GC", "GI", "GR", "GU", "H",
    "HU", "J", "L", "LE", "LO", "LU", "M", "MA", "MU", "NA", "O", "OR", "P", "PM", "PO", "S", "SA", "SE", "SG", "SO",
    "SS", "T", "TE", "TF", "TO", "V", "VA", "VI", "Z", "ZA",
]


@each("province", [*PROVINCES, "CE", "ML"])
def test_every_spanish_province_keeps_the_holidays_of_its_community(province):
    found = calendar_of(f"ES-{province}")

    assert found is not None
    assert found != "ES"
    assert found in ("ES-CE", "ES-ML", *(f"ES-{one}" for one in _regions()["ES"] if one not in PROVINCES))


@each(
    "region, calendar",
    [
        ("ES-B", "ES-CT"), ("ES-M", "ES-MD"), ("ES-TF", "ES-CN"), ("ES-PM", "ES-IB"), ("GB-LND", "GB-ENG"),
        ("FR-67", "FR-6AE"), ("FR-974", "FR-974"), ("FR-RE", "FR-974"), ("FR-75", "FR"), ("MX-JAL", "MX"),
        ("IT-MI", "IT-MI"), ("CL-AP", "CL-AP"), ("IT-25", None), ("ES-QQ", None),
    ],
)  # fmt: skip
def test_a_region_keeps_the_holidays_of_what_it_lies_in(region, calendar):
    assert calendar_of(region) == calendar


def test_barcelona_rests_on_the_days_of_catalonia_and_madrid_does_not():
    saint_john = date(2027, 6, 24)
    spain = Holidays.parse("ES")

    assert narrow_holidays(spain, "ES", "ES-B").is_holiday(saint_john)
    assert not narrow_holidays(spain, "ES", "ES-M").is_holiday(saint_john)
    assert Holidays.parse("es-b").calendars == ("ES-CT",)


@each("country, calendars", [("RE", ("FR-974",)), ("GP", ("FR-971",)), ("PR", ("US-PR",)), ("CL", ("FR", "US"))])
def test_a_number_overseas_keeps_the_holidays_of_its_region(country, calendars):
    assert narrow_holidays(Holidays.parse("FR,US"), country, None).calendars == calendars


@each(
    "text, country, code",
    [
        ("cl-ma", None, "CL-MA"), ("es_ct", None, "ES-CT"), ("Cataluña", None, "ES-CT"), ("CATALUNYA", None, "ES-CT"),
        ("cataluna", "CL", "ES-CT"), ("Jalisco", None, "MX-JAL"), ("Córdoba", "ES", "ES-CO"), ("cordoba", "AR", "AR-X"),
        ("Región Metropolitana", "CL", "CL-RM"), ("Comunidad de Madrid", None, "ES-MD"), ("CDMX", None, "MX-CMX"),
        ("Provincia de Buenos Aires", None, "AR-B"), ("Capital Federal", None, "AR-C"), ("uk", None, "GB"),
        ("New York", None, "US-NY"), ("La Réunion", "FR", "FR-974"), ("Valparaíso", "CL", "CL-VS"),
    ],
)  # fmt: skip
def test_a_region_is_read_as_people_write_it(text, country, code):
    assert normal_region(text, country) == code


@each("text, right", [
    ("Córdoba", "it may be AR-X, CO-COR or ES-CO"), ("La Rioja", "AR-F or ES-RI"), ("Chile", "write an ISO code"),
])  # fmt: skip
def test_a_name_that_several_regions_have_is_asked_about(text, right):
    with pytest.raises(InvalidValue, match=right):
        normal_region(text)


@each("text, right", [("ES-QQ", "ES has no region QQ; its codes are AN"), ("QQ", "there is no country QQ")])
def test_a_region_that_does_not_exist_is_refused_where_it_is_written(text, right):
    with pytest.raises(InvalidValue, match=right):
        read_region(text)


def test_every_region_is_listed_once_and_lies_in_one_of_its_country():
    for country, own in _regions().items():
        assert len(country) == 2
        for region, parent in own.items():
            assert parent is None or parent in own
            assert len(list(lineage(f"{country}-{region}"))) <= 3
    assert all(code[3:] in _regions()[code[:2]] for codes in _names().values() for code in codes)
    assert "" not in _names()


UNKNOWN = (
    "no region ES-QQ is known, so every clock of ES and of the number must be open; "
    "the regional holidays of ES-QQ are not known, so only those of ES are kept"
)


@each("region, settings, doubt", [
    ("IT-25", {"holidays": ["IT"]}, "the regional holidays of IT-25 are not known, so only those of IT are kept"),
    ("IT-25", {}, None),
    ("IT-25", {"holidays": ["ES"]}, None),
    ("ES-B", {"preset": "es-sales"}, None),
    ("ES-QQ", {"preset": "es-sales"}, UNKNOWN),
])  # fmt: skip
def test_what_is_not_known_of_a_region_is_said_where_it_matters(region, settings, doubt):
    assert Policy(read_config({}), read_call_settings(settings)).doubt_about(region) == doubt
