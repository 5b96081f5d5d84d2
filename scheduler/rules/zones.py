"""In which time zones a lead may be.

Order of trust: the zone written on the lead, its region, what the number suggests (every candidate),
the campaign's zones, the installation's. The first that is known decides alone; when it names several
zones, open means open in all of them. The source goes into every explanation.

What must stay true: what is not known exactly never opens an hour. A region that no table knows may be any of its
country, and it may be overseas: every clock of the country and what the number suggests must be open. So must both
where a bare country is written and the number is of another one. A region on several clocks keeps all of them.

The clocks of countries and regions are those of zone.tab of the zone database (2026f, with its comments); regions
that are on ISO's list of countries too are those of ISO 3166-2 and of its replacements in CLDR.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from scheduler.model import NumberTraits
from scheduler.rules.subdivisions import is_known, lineage, normal_region


@dataclass(frozen=True, slots=True)
class LeadZones:
    """`zones` in order of preference (wall-clock plans use the first), `source` says who named them.

    `holiday_regions` are the ISO codes, narrowest first, whose holidays the lead keeps.
    """

    zones: tuple[str, ...]
    source: str
    country: str | None
    region: str | None


def lead_zones(
    *,
    time_zone: str | None,
    region: str | None,
    traits: NumberTraits | None,
    campaign_zones: tuple[str, ...] = (),
    default_zone: str,
) -> LeadZones:
    """The zones of one lead at one number, of which `traits` are known (None: at none).

    Raises InvalidValue for a region that is not known.
    """
    return _lead_zones(time_zone, region, traits, campaign_zones, default_zone)


@lru_cache(maxsize=4096)  # few answers serve millions of leads
def _lead_zones(
    time_zone: str | None, region: str | None, traits: NumberTraits | None, campaign_zones: tuple[str, ...],
    default_zone: str,
) -> LeadZones:
    own = traits.country if traits else None
    suggested = traits.zones if traits else ()
    code = normal_region(region, own) if region else None
    country = code[:2] if code else own
    if time_zone:
        return LeadZones((time_zone,), "the lead's own zone", country, code)
    if code and "-" in code and (found := zones_of_region(code)):
        return LeadZones(found, f"the lead's region {code}", country, code)
    clocks = zones_of_region(code[:2]) if code else ()
    if code and clocks and suggested and ("-" in code or code != own):
        both = tuple(dict.fromkeys((*suggested, *clocks)))
        return LeadZones(both, f"its number and, as {_unsure(code)}, every clock of {country}", country, code)
    if suggested:  # a bare country says less than a number does
        return LeadZones(suggested, "its number", country, code)
    if code and clocks:
        return LeadZones(clocks, f"the lead's country {code[:2]}", country, code)
    if campaign_zones:
        return LeadZones(campaign_zones, "the campaign", country, code)
    return LeadZones((default_zone,), "scheduler_config.timezone", country, code)


def _unsure(code: str) -> str:
    return f"no region {code} is known" if "-" in code else f"the lead's country is {code}"


def zones_of_region(code: str) -> tuple[str, ...]:
    """Every zone of a country, or of a region that is known, by itself or by what it lies in; else empty."""
    country, dash, _ = code.partition("-")
    if not dash:
        return _clocks().get(country, ())
    for place in lineage(code):
        if found := REGIONS.get(place):
            return found
        if (territory := TERRITORIES.get(place)) is not None:
            return _clocks()[territory]
    if not is_known(code):
        return ()
    clocks = _clocks().get(country, ())
    main = _MAIN.get(country)
    return (main,) if main else clocks


def parent_of_territory(country: str) -> str | None:
    """The region, of the country that it belongs to, by which a country of ISO's list goes too: RE is FR-974."""
    return next((region for region, own in TERRITORIES.items() if own == country), None)


@cache
def _clocks() -> Mapping[str, tuple[str, ...]]:
    """By country, a zone for each of its clocks; first that of most people."""
    entries = (entry.split() for entry in _CLOCKS.split(";"))
    return {country: tuple(zones) for country, *zones in entries}


def _each(country: str, regions: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {f"{country}-{region}": (zone,) for zone, listed in regions.items() for region in listed.split()}


_EAST, _CENTRAL, _MOUNTAIN, _PACIFIC = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
)

REGIONS: Mapping[str, tuple[str, ...]] = {
    # Chile: Magallanes keeps -03 since 2016, Aysen since 2025; prefix tables do not know. Rapa Nui is in Valparaiso.
    "CL-MA": ("America/Punta_Arenas",),
    "CL-AI": ("America/Coyhaique",),
    "CL-VS": ("America/Santiago", "Pacific/Easter"),
    "EC-W": ("Pacific/Galapagos",),
    "ES-CN": ("Atlantic/Canary",),
    "ES-CE": ("Africa/Ceuta",),
    "PT-20": ("Atlantic/Azores",),
    "PT-30": ("Atlantic/Madeira",),
    # Mexico: states off Central time; the border municipalities of CHH, COA, NLE and TAM follow the US.
    "MX-BCN": ("America/Tijuana",),
    "MX-BCS": ("America/Mazatlan",),
    "MX-SIN": ("America/Mazatlan",),
    "MX-SON": ("America/Hermosillo",),
    "MX-NAY": ("America/Mazatlan", "America/Bahia_Banderas"),
    "MX-CHH": ("America/Chihuahua", "America/Ciudad_Juarez", "America/Ojinaga"),
    "MX-ROO": ("America/Cancun",),
    "MX-YUC": ("America/Merida",),
    "MX-CAM": ("America/Merida",),
    "MX-COA": ("America/Monterrey", "America/Matamoros"),
    "MX-NLE": ("America/Monterrey", "America/Matamoros"),
    "MX-TAM": ("America/Monterrey", "America/Matamoros"),
    "BR-AC": ("America/Rio_Branco",),
    "BR-AM": ("America/Manaus", "America/Eirunepe"),
    "BR-MT": ("America/Cuiaba",),
    "BR-MS": ("America/Campo_Grande",),
    "BR-PE": ("America/Recife", "America/Noronha"),
    "BR-RO": ("America/Porto_Velho",),
    "BR-RR": ("America/Boa_Vista",),
    # The US: states on two clocks keep both.
    **_each("US", {
        _EAST: "CT DC DE GA ME MD MA NH NJ NY NC OH PA RI SC VT VA WV",
        _CENTRAL: "AL AR IL IA LA MN MS MO OK WI",
        _MOUNTAIN: "CO MT NM UT WY",
        _PACIFIC: "CA WA",
    }),
    "US-AZ": ("America/Phoenix", "America/Denver"),  # the Navajo Nation keeps summer time
    "US-AK": ("America/Anchorage", "America/Adak"),
    "US-HI": ("Pacific/Honolulu",),
    "US-FL": (_EAST, _CENTRAL),
    "US-ID": ("America/Boise", _PACIFIC),
    "US-IN": ("America/Indiana/Indianapolis", _CENTRAL),
    "US-KS": (_CENTRAL, _MOUNTAIN),
    "US-KY": (_EAST, _CENTRAL),
    "US-MI": ("America/Detroit", _CENTRAL),
    "US-ND": (_CENTRAL, _MOUNTAIN),
    "US-NE": (_CENTRAL, _MOUNTAIN),
    "US-NV": (_PACIFIC, _MOUNTAIN),  # West Wendover
    "US-OR": (_PACIFIC, "America/Boise"),
    "US-SD": (_CENTRAL, _MOUNTAIN),
    "US-TN": (_EAST, _CENTRAL),
    "US-TX": (_CENTRAL, _MOUNTAIN),
    # Canada
    "CA-NL": ("America/St_Johns", "America/Goose_Bay"),
    "CA-NS": ("America/Halifax",),
    "CA-PE": ("America/Halifax",),
    "CA-NB": ("America/Moncton",),
    "CA-QC": ("America/Toronto", "America/Halifax", "America/Blanc-Sablon"),
    "CA-ON": ("America/Toronto", "America/Winnipeg", "America/Atikokan"),
    "CA-MB": ("America/Winnipeg",),
    "CA-NU": ("America/Iqaluit", "America/Rankin_Inlet", "America/Resolute", "America/Cambridge_Bay"),
    "CA-SK": ("America/Regina", "America/Edmonton"),
    "CA-AB": ("America/Edmonton",),
    "CA-NT": ("America/Edmonton", "America/Inuvik"),
    "CA-BC": ("America/Vancouver", "America/Edmonton", "America/Creston", "America/Fort_Nelson"),
    "CA-YT": ("America/Whitehorse",),
    # Australia
    "AU-NSW": ("Australia/Sydney", "Australia/Broken_Hill", "Australia/Lord_Howe"),
    "AU-ACT": ("Australia/Sydney",),
    "AU-VIC": ("Australia/Melbourne",),
    "AU-QLD": ("Australia/Brisbane",),
    "AU-SA": ("Australia/Adelaide", "Australia/Eucla"),
    "AU-NT": ("Australia/Darwin",),
    "AU-TAS": ("Australia/Hobart",),
    "AU-WA": ("Australia/Perth", "Australia/Eucla"),
    "NZ-CIT": ("Pacific/Chatham",),
    "PG-NSB": ("Pacific/Bougainville",),
    "CN-XJ": ("Asia/Shanghai", "Asia/Urumqi"),
    **_each("MN", {"Asia/Hovd": "043 046 057 065 071"}),
    **_each("UA", {"Europe/Simferopol": "40 43"}),
    **_each("FM", {"Pacific/Chuuk": "TRK YAP", "Pacific/Pohnpei": "KSA PNI"}),
    **_each("KI", {"Pacific/Tarawa": "G", "Pacific/Kiritimati": "L", "Pacific/Kanton": "P"}),
    **_each("GL", {"America/Nuuk": "KU QE QT"}),
    "GL-AV": ("America/Nuuk", "America/Thule"),
    "GL-SM": ("America/Nuuk", "America/Scoresbysund"),
    **_each("CD", {
        "Africa/Kinshasa": "BC EQ KG KL KN MN MO NU SU TU",
        "Africa/Lubumbashi": "BU HK HL HU IT KC KE KS LO LU MA NK SA SK TA TO",
    }),
    **_each("ID", {
        "Asia/Jakarta": "JW SM BT JB JI JK JT YO AC BB BE JA KR LA RI SB SS SU KB KT",
        "Asia/Makassar": "NU SL BA NB NT GO SA SG SN SR ST KI KS KU",
        "Asia/Jayapura": "ML PP MA MU PA PB PD PE PS PT",
    }),
    "ID-KA": ("Asia/Jakarta", "Asia/Makassar"),
    # Russia: what is not here is on Moscow's clock.
    **_each("RU", {
        "Europe/Kaliningrad": "KGD",
        "Europe/Samara": "AST SAM SAR UD ULY",
        "Asia/Yekaterinburg": "BA CHE KGN KHM ORE PER SVE TYU YAN",
        "Asia/Omsk": "OMS",
        "Asia/Krasnoyarsk": "AL ALT KEM KK KYA NVS TOM TY",
        "Asia/Irkutsk": "BU IRK",
        "Asia/Yakutsk": "AMU ZAB",
        "Asia/Vladivostok": "KHA PRI YEV",
        "Asia/Magadan": "MAG",
        "Asia/Kamchatka": "CHU KAM",
    }),
    "RU-SA": ("Asia/Yakutsk", "Asia/Vladivostok", "Asia/Srednekolymsk"),
    "RU-SAK": ("Asia/Sakhalin", "Asia/Srednekolymsk"),
}  # fmt: skip
"""Of countries on several clocks; a region that lies in one of these has its clocks."""

_MAIN = {
    "BR": "America/Sao_Paulo", "CL": "America/Santiago", "CN": "Asia/Shanghai", "EC": "America/Guayaquil",
    "ES": "Europe/Madrid", "MN": "Asia/Ulaanbaatar", "MX": "America/Mexico_City", "NZ": "Pacific/Auckland",
    "PG": "Pacific/Port_Moresby", "PT": "Europe/Lisbon", "RU": "Europe/Moscow", "UA": "Europe/Kyiv",
}  # fmt: skip
"""The clock of every region of these countries that is not above."""

TERRITORIES: Mapping[str, str] = {
    "FR-974": "RE", "FR-971": "GP", "FR-972": "MQ", "FR-973": "GF", "FR-976": "YT", "FR-975": "PM", "FR-977": "BL",
    "FR-978": "MF", "FR-986": "WF", "FR-987": "PF", "FR-988": "NC", "FR-RE": "RE", "FR-GP": "GP", "FR-MQ": "MQ",
    "FR-GF": "GF", "FR-YT": "YT", "FR-PM": "PM", "FR-BL": "BL", "FR-MF": "MF", "FR-WF": "WF", "FR-PF": "PF",
    "FR-NC": "NC", "FR-TF": "TF",
    "US-PR": "PR", "US-GU": "GU", "US-VI": "VI", "US-AS": "AS", "US-MP": "MP", "US-UM": "UM",
    "NL-AW": "AW", "NL-CW": "CW", "NL-SX": "SX", "NL-BQ1": "BQ", "NL-BQ2": "BQ", "NL-BQ3": "BQ",
    "CN-HK": "HK", "CN-MO": "MO", "CN-TW": "TW", "NO-21": "SJ", "NO-22": "SJ", "FI-01": "AX",
}  # fmt: skip
"""Regions that are on ISO's list of countries too, under a code of their own."""

_CLOCKS = """
AD Europe/Andorra; AE Asia/Dubai; AF Asia/Kabul; AG America/Antigua; AI America/Anguilla; AL Europe/Tirane; AM
Asia/Yerevan; AO Africa/Luanda; AQ Antarctica/McMurdo Antarctica/Casey Antarctica/Davis Antarctica/DumontDUrville
Antarctica/Mawson Antarctica/Palmer Antarctica/Syowa Antarctica/Troll; AR America/Argentina/Buenos_Aires; AS
Pacific/Pago_Pago; AT Europe/Vienna; AU Australia/Sydney Australia/Lord_Howe Australia/Broken_Hill Australia/Brisbane
Australia/Darwin Australia/Perth Australia/Eucla; AW America/Aruba; AX Europe/Mariehamn; AZ Asia/Baku; BA
Europe/Sarajevo; BB America/Barbados; BD Asia/Dhaka; BE Europe/Brussels; BF Africa/Ouagadougou; BG Europe/Sofia; BH
Asia/Bahrain; BI Africa/Bujumbura; BJ Africa/Porto-Novo; BL America/St_Barthelemy; BM Atlantic/Bermuda; BN
Asia/Brunei; BO America/La_Paz; BQ America/Kralendijk; BR America/Sao_Paulo America/Noronha America/Campo_Grande
America/Eirunepe; BS America/Nassau; BT Asia/Thimphu; BW Africa/Gaborone; BY Europe/Minsk; BZ America/Belize; CA
America/Toronto America/St_Johns America/Halifax America/Blanc-Sablon America/Atikokan America/Winnipeg
America/Resolute America/Regina America/Edmonton America/Cambridge_Bay America/Vancouver America/Creston; CC
Indian/Cocos; CD Africa/Kinshasa Africa/Lubumbashi; CF Africa/Bangui; CG Africa/Brazzaville; CH Europe/Zurich; CI
Africa/Abidjan; CK Pacific/Rarotonga; CL America/Santiago America/Coyhaique Pacific/Easter; CM Africa/Douala; CN
Asia/Shanghai Asia/Urumqi; CO America/Bogota; CR America/Costa_Rica; CU America/Havana; CV Atlantic/Cape_Verde; CW
America/Curacao; CX Indian/Christmas; CY Asia/Nicosia; CZ Europe/Prague; DE Europe/Berlin; DJ Africa/Djibouti; DK
Europe/Copenhagen; DM America/Dominica; DO America/Santo_Domingo; DZ Africa/Algiers; EC America/Guayaquil
Pacific/Galapagos; EE Europe/Tallinn; EG Africa/Cairo; EH Africa/El_Aaiun; ER Africa/Asmara; ES Europe/Madrid
Atlantic/Canary; ET Africa/Addis_Ababa; FI Europe/Helsinki; FJ Pacific/Fiji; FK Atlantic/Stanley; FM Pacific/Pohnpei
Pacific/Chuuk; FO Atlantic/Faroe; FR Europe/Paris; GA Africa/Libreville; GB Europe/London; GD America/Grenada; GE
Asia/Tbilisi; GF America/Cayenne; GG Europe/Guernsey; GH Africa/Accra; GI Europe/Gibraltar; GL America/Nuuk
America/Danmarkshavn America/Thule; GM Africa/Banjul; GN Africa/Conakry; GP America/Guadeloupe; GQ Africa/Malabo; GR
Europe/Athens; GS Atlantic/South_Georgia; GT America/Guatemala; GU Pacific/Guam; GW Africa/Bissau; GY America/Guyana;
HK Asia/Hong_Kong; HN America/Tegucigalpa; HR Europe/Zagreb; HT America/Port-au-Prince; HU Europe/Budapest; ID
Asia/Jakarta Asia/Makassar Asia/Jayapura; IE Europe/Dublin; IL Asia/Jerusalem; IM Europe/Isle_of_Man; IN Asia/Kolkata;
IO Indian/Chagos; IQ Asia/Baghdad; IR Asia/Tehran; IS Atlantic/Reykjavik; IT Europe/Rome; JE Europe/Jersey; JM
America/Jamaica; JO Asia/Amman; JP Asia/Tokyo; KE Africa/Nairobi; KG Asia/Bishkek; KH Asia/Phnom_Penh; KI
Pacific/Tarawa Pacific/Kanton Pacific/Kiritimati; KM Indian/Comoro; KN America/St_Kitts; KP Asia/Pyongyang; KR
Asia/Seoul; KW Asia/Kuwait; KY America/Cayman; KZ Asia/Almaty; LA Asia/Vientiane; LB Asia/Beirut; LC America/St_Lucia;
LI Europe/Vaduz; LK Asia/Colombo; LR Africa/Monrovia; LS Africa/Maseru; LT Europe/Vilnius; LU Europe/Luxembourg; LV
Europe/Riga; LY Africa/Tripoli; MA Africa/Casablanca; MC Europe/Monaco; MD Europe/Chisinau; ME Europe/Podgorica; MF
America/Marigot; MG Indian/Antananarivo; MH Pacific/Majuro; MK Europe/Skopje; ML Africa/Bamako; MM Asia/Yangon; MN
Asia/Ulaanbaatar Asia/Hovd; MO Asia/Macau; MP Pacific/Saipan; MQ America/Martinique; MR Africa/Nouakchott; MS
America/Montserrat; MT Europe/Malta; MU Indian/Mauritius; MV Indian/Maldives; MW Africa/Blantyre; MX
America/Mexico_City America/Cancun America/Matamoros America/Ciudad_Juarez America/Mazatlan America/Tijuana; MY
Asia/Kuala_Lumpur; MZ Africa/Maputo; NA Africa/Windhoek; NC Pacific/Noumea; NE Africa/Niamey; NF Pacific/Norfolk; NG
Africa/Lagos; NI America/Managua; NL Europe/Amsterdam; NO Europe/Oslo; NP Asia/Kathmandu; NR Pacific/Nauru; NU
Pacific/Niue; NZ Pacific/Auckland Pacific/Chatham; OM Asia/Muscat; PA America/Panama; PE America/Lima; PF
Pacific/Tahiti Pacific/Marquesas Pacific/Gambier; PG Pacific/Port_Moresby Pacific/Bougainville; PH Asia/Manila; PK
Asia/Karachi; PL Europe/Warsaw; PM America/Miquelon; PN Pacific/Pitcairn; PR America/Puerto_Rico; PS Asia/Gaza; PT
Europe/Lisbon Atlantic/Azores; PW Pacific/Palau; PY America/Asuncion; QA Asia/Qatar; RE Indian/Reunion; RO
Europe/Bucharest; RS Europe/Belgrade; RU Europe/Moscow Europe/Kaliningrad Europe/Astrakhan Asia/Yekaterinburg
Asia/Omsk Asia/Novosibirsk Asia/Irkutsk Asia/Chita Asia/Vladivostok Asia/Magadan Asia/Kamchatka; RW Africa/Kigali; SA
Asia/Riyadh; SB Pacific/Guadalcanal; SC Indian/Mahe; SD Africa/Khartoum; SE Europe/Stockholm; SG Asia/Singapore; SH
Atlantic/St_Helena; SI Europe/Ljubljana; SJ Arctic/Longyearbyen; SK Europe/Bratislava; SL Africa/Freetown; SM
Europe/San_Marino; SN Africa/Dakar; SO Africa/Mogadishu; SR America/Paramaribo; SS Africa/Juba; ST Africa/Sao_Tome; SV
America/El_Salvador; SX America/Lower_Princes; SY Asia/Damascus; SZ Africa/Mbabane; TC America/Grand_Turk; TD
Africa/Ndjamena; TF Indian/Kerguelen; TG Africa/Lome; TH Asia/Bangkok; TJ Asia/Dushanbe; TK Pacific/Fakaofo; TL
Asia/Dili; TM Asia/Ashgabat; TN Africa/Tunis; TO Pacific/Tongatapu; TR Europe/Istanbul; TT America/Port_of_Spain; TV
Pacific/Funafuti; TW Asia/Taipei; TZ Africa/Dar_es_Salaam; UA Europe/Kyiv Europe/Simferopol; UG Africa/Kampala; UM
Pacific/Wake Pacific/Midway; US America/New_York America/Chicago America/Denver America/Phoenix America/Los_Angeles
America/Anchorage America/Adak Pacific/Honolulu; UY America/Montevideo; UZ Asia/Samarkand; VA Europe/Vatican; VC
America/St_Vincent; VE America/Caracas; VG America/Tortola; VI America/St_Thomas; VN Asia/Ho_Chi_Minh; VU
Pacific/Efate; WF Pacific/Wallis; WS Pacific/Apia; YE Asia/Aden; YT Indian/Mayotte; ZA Africa/Johannesburg; ZM
Africa/Lusaka; ZW Africa/Harare
"""
