"""In which time zones a lead may be.

Order of trust: the zone written on the lead, its region, what the number suggests (every candidate),
the campaign's zones, the installation's. The first that is known decides alone; when it names several
zones, open means open in all of them. The source goes into every explanation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from scheduler.errors import InvalidValue
from scheduler.model import NumberTraits


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
    country = traits.country if traits else None
    suggested = traits.zones if traits else ()
    code = normal_region(region) if region else None
    if code:
        country = code[:2]
    if time_zone:
        return LeadZones((time_zone,), "the lead's own zone", country, code)
    if code and "-" in code and (found := zones_of_region(code)):
        return LeadZones(found, f"the lead's region {code}", country, code)
    if suggested:
        return LeadZones(suggested, "its number", country, code)
    if code and (found := zones_of_region(code)):  # a bare country says less than a number does
        return LeadZones(found, f"the lead's country {code}", country, code)
    if campaign_zones:
        return LeadZones(campaign_zones, "the campaign", country, code)
    return LeadZones((default_zone,), "scheduler_config.timezone", country, code)


def normal_region(text: str) -> str:
    """An ISO 3166-2 code as written on a lead (`es-ct` -> `ES-CT`). Raises InvalidValue."""
    code = text.strip().upper().replace("_", "-")
    if len(code) >= 2 and code[:2].isalpha() and (len(code) == 2 or code[2] == "-"):
        return code
    raise InvalidValue("region", text, "write an ISO code like CL, CL-MA or ES-CT")


def zones_of_region(code: str) -> tuple[str, ...]:
    """Every zone of an ISO 3166 region, empty when this table does not know it."""
    return REGIONS.get(code) or REGIONS.get(code[:2], ())


def _us(zone: str, states: str) -> dict[str, tuple[str, ...]]:
    return {f"US-{state}": (zone,) for state in states.split()}


_EAST, _CENTRAL, _MOUNTAIN, _PACIFIC = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles",
)

REGIONS: dict[str, tuple[str, ...]] = {
    # A bare country with one clock, or all its clocks where a region may be any of them.
    "AR": ("America/Argentina/Buenos_Aires",),
    "CO": ("America/Bogota",),
    "PE": ("America/Lima",),
    "UY": ("America/Montevideo",),
    "PY": ("America/Asuncion",),
    "BO": ("America/La_Paz",),
    "VE": ("America/Caracas",),
    "CR": ("America/Costa_Rica",),
    "PA": ("America/Panama",),
    "GT": ("America/Guatemala",),
    "DO": ("America/Santo_Domingo",),
    "FR": ("Europe/Paris",),
    "IT": ("Europe/Rome",),
    "DE": ("Europe/Berlin",),
    "GB": ("Europe/London",),
    "IE": ("Europe/Dublin",),
    # Chile: Magallanes keeps -03 since 2016, Aysen since 2025; prefix tables do not know.
    "CL": ("America/Santiago",),
    "CL-MA": ("America/Punta_Arenas",),
    "CL-AI": ("America/Coyhaique",),
    "EC": ("America/Guayaquil",),
    "EC-W": ("Pacific/Galapagos",),
    "ES": ("Europe/Madrid",),
    "ES-CN": ("Atlantic/Canary",),
    "ES-GC": ("Atlantic/Canary",),
    "ES-TF": ("Atlantic/Canary",),
    "ES-CE": ("Africa/Ceuta",),
    "PT": ("Europe/Lisbon",),
    "PT-20": ("Atlantic/Azores",),
    "PT-30": ("Atlantic/Madeira",),
    # Mexico: states off Central time; the border municipalities of CHH, COA, NLE and TAM follow the US.
    "MX": ("America/Mexico_City",),
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
    "BR": ("America/Sao_Paulo",),
    "BR-AC": ("America/Rio_Branco",),
    "BR-AM": ("America/Manaus", "America/Eirunepe"),
    "BR-MT": ("America/Cuiaba",),
    "BR-MS": ("America/Campo_Grande",),
    "BR-RO": ("America/Porto_Velho",),
    "BR-RR": ("America/Boa_Vista",),
    # The US: states on two clocks keep both.
    **_us(_EAST, "CT DC DE GA ME MD MA NH NJ NY NC OH PA RI SC VT VA WV"),
    **_us(_CENTRAL, "AL AR IL IA LA MN MS MO OK WI"),
    **_us(_MOUNTAIN, "CO MT NM UT WY"),
    **_us(_PACIFIC, "CA WA NV"),
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
    "US-OR": (_PACIFIC, "America/Boise"),
    "US-SD": (_CENTRAL, _MOUNTAIN),
    "US-TN": (_EAST, _CENTRAL),
    "US-TX": (_CENTRAL, _MOUNTAIN),
    "US-PR": ("America/Puerto_Rico",),
    "US-GU": ("Pacific/Guam",),
}
