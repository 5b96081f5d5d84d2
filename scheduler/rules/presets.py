"""Calling hours, caps and cool-downs of countries, as data to start from: never legal advice.

Laws, codes of conduct and their readings change, and depend on sector, consent and relationship. So each
preset says how certain it is and when it was gathered, and is shown with `DISCLAIMER`. A preset is a rule like
any other: beside a campaign's own settings both must allow a call. What it cannot enforce stands in its notes.

What must stay true: a preset never allows more than the one it adds to, and a copy of it (`as_call_settings`)
allows what the preset allows, except for what `caveats` names. A newcomer would read "open" on holidays into a
preset that lists none: the holidays of the campaign, or else of the installation, hold all the same.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any

from scheduler.errors import InvalidValue
from scheduler.rules.caps import ANY, CLASSES, Cap, Cooldown, parse_caps, parse_cooldowns
from scheduler.rules.holiday_calendars import Holidays, narrow_holidays
from scheduler.rules.hours import HoursRule, Span, Windows
from scheduler.rules.zones import LeadZones

DISCLAIMER = "defaults to start from, gathered in November 2026; not legal advice: check with counsel"
GATHERED_ON = date(2026, 11, 1)
CERTAINTIES: Mapping[str, str] = {
    "A": "text of the law or regulator read",
    "B": "several secondary sources agree",
    "C": "one source, sources that disagree, or custom",
}

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ALL_DAY = Windows.parse({"all": [["00:00", "24:00"]]})


@dataclass(frozen=True, eq=False)
class Preset:
    """The rules for one purpose in one place.

    `settings` has windows, holidays (shut), caps and cool-downs, as a campaign would write them. Without windows
    no hours are known. `region` is set where only a part of the country is meant. `base` names the preset that
    this one adds to. `clock` is a zone on which the hours are read whatever the lead's; None: the lead's own.
    `national_holidays`: the calendars hold as they are, also for a lead whose region has one of its own.
    """

    name: str
    country: str
    purpose: str
    settings: Mapping[str, Any]
    certainty: str
    notes: tuple[str, ...]
    """What it cannot enforce (consent, lists to check, caller ids, disclosures), and how doubts were settled."""
    region: str | None = None
    base: str | None = None
    clock: str | None = None
    national_holidays: bool = False
    gathered_on: date = GATHERED_ON

    @cached_property
    def windows(self) -> Windows | None:
        """Its own; None where no hours are known."""
        return Windows.parse(self.settings["windows"]) if "windows" in self.settings else None

    @cached_property
    def holidays(self) -> Holidays:
        return Holidays.parse(self.settings.get("holidays"))

    @cached_property
    def caps(self) -> tuple[Cap, ...]:
        return parse_caps(self._listed("caps"))

    @cached_property
    def cooldowns(self) -> tuple[Cooldown, ...]:
        return parse_cooldowns(self._listed("cooldowns"))

    @cached_property
    def all_notes(self) -> tuple[str, ...]:
        """With those of the presets that it adds to."""
        return tuple(note for one in self._lineage for note in one.notes)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What `as_call_settings` cannot say, so that a copy allows more than the preset, or less."""
        found = []
        if self.clock:
            found.append(f"written out, the hours are read on the clock of the lead alone, not on that of {self.clock}")
        if self.national_holidays:
            found.append("written out, a lead with a region keeps the holidays of that region, not the national ones")
        if self.holidays:
            found.append("written out, its holidays stand in the place of the installation's, and not beside them")
        if self.windows is None:
            hours = f"the hours of {self.base} do not hold and " if self.base else ""
            found.append(f"written out, {hours}no hours of your own are asked for: add allowed_hours or windows")
        return tuple(found)

    def hours_rules(self, where: LeadZones, close_margin: timedelta) -> tuple[HoursRule, ...]:
        """When a lead there may be called, as far as this preset knows: all of them must be open."""
        rules = []
        if self.windows is not None or self.holidays:
            rules.append(HoursRule(
                zones=(self.clock,) if self.clock else where.zones,
                windows=self.windows or _ALL_DAY,
                holidays=self._holidays_for(where),
                close_margin=close_margin,
                label=f"preset {self.name}",
            ))  # fmt: skip
        # On the same clock the hours of the base are wider, and add nothing.
        if self.base is not None and (self.clock or self.windows is None):
            rules.extend(PRESETS[self.base].hours_rules(where, close_margin))
        return tuple(rules)

    def as_call_settings(self) -> dict[str, Any]:
        """The same rules as a document of call_settings, to be copied and edited; what differs is in `caveats`."""
        document = {name: self.settings[name] for name in ("windows", "holidays") if name in self.settings}
        document |= {name: listed for name in ("caps", "cooldowns") if (listed := self._listed(name))}
        return deepcopy(document)

    def spoken_hours(self) -> str:
        """Such as "mon-fri 09:00-13:00, sat 10:00-13:00; shut on holidays of CL"."""
        parts = [self.windows.spoken() if self.windows else "none of its own"]
        if self.clock:
            parts[0] += f" in {self.clock}"
        if self.holidays:
            shut = "shut on national holidays" if self.national_holidays else "shut on holidays"
            parts.append(f"{shut} of {_listing(self.holidays.calendars)}")
        return "; ".join(parts)

    def spoken_certainty(self) -> str:
        """Such as "A/C: text of the law or regulator read; one source, sources that disagree, or custom"."""
        return f"{self.certainty}: {'; '.join(CERTAINTIES[letter] for letter in self.certainty.split('/'))}"

    def spoken_limits(self) -> str:
        """Such as "2 in one day by phone; after refused by lead: quiet until 61 days later"."""
        caps = (f"{cap}{_spoken_counts(cap.counts)}" for cap in self.caps)
        quiet = (f"{one}: quiet until {one.wait} later" for one in self.cooldowns)
        return "; ".join((*caps, *quiet))

    @cached_property
    def _lineage(self) -> tuple[Preset, ...]:
        return (self, *PRESETS[self.base]._lineage) if self.base else (self,)

    def _listed(self, name: str) -> list[Any]:
        return [item for one in self._lineage for item in one.settings.get(name, ())]

    def _holidays_for(self, where: LeadZones) -> Holidays:
        if self.national_holidays:
            return self.holidays
        return narrow_holidays(self.holidays, where.country, where.region)


def find_preset(name: str) -> Preset:
    """By its name, or the strictest of a country by what its presets begin with ("cl").

    Raises InvalidValue for a name that no preset has.
    """
    found = PRESETS.get(name) or _find_strictest(name)
    if found is None:
        near = difflib.get_close_matches(name.lower(), PRESETS, n=3, cutoff=0.5)
        ask = f"did you mean {' or '.join(near)}? " if near else ""
        raise InvalidValue("preset", name, f"{ask}see `ringback rules presets`; they are {', '.join(sorted(PRESETS))}")
    return found


@cache
def strictest_for(country: str) -> Preset | None:
    """All presets of a whole country at once, for calls whose purpose is not known: open when all of them are,
    with every cap and cool-down. Those of a region are left out. None for a country without presets.
    """
    members = [one for one in PRESETS.values() if one.country == country and one.region is None]
    if not members:
        return None
    names = [one.name for one in members]
    notes = [f"No purpose was named, so these hold together: {_listing(names)}."]
    if regional := [one.name for one in PRESETS.values() if one.country == country and one.region is not None]:
        notes.append(f"Rules of regions are not among them: {_listing(regional)}.")
    return Preset(
        name=_prefix(names[0]),
        country=country,
        purpose="any",
        settings=_all_at_once(members),
        certainty="/".join(sorted({letter for one in members for letter in one.certainty.split("/")})),
        notes=(*notes, *(f"{one.name}: {note}" for one in members for note in one.notes)),
        national_holidays=all(one.national_holidays for one in members),
        gathered_on=min(one.gathered_on for one in members),
    )


def _find_strictest(prefix: str) -> Preset | None:
    return next((strictest_for(one.country) for one in PRESETS.values() if _prefix(one.name) == prefix), None)


def _prefix(name: str) -> str:
    return name.partition("-")[0]


def _all_at_once(members: Sequence[Preset]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        name: found
        for name in ("holidays", "caps", "cooldowns")
        if (found := _without_repeats(item for one in members for item in one.settings.get(name, ())))
    }
    if windows := [one.windows for one in members if one.windows is not None]:
        common = [_common_spans([one.weekdays[day] for one in windows]) for day in range(7)]
        settings["windows"] = dict(_written(list(days)) for _, days in groupby(enumerate(common), key=itemgetter(1)))
    return settings


def _written(days: Sequence[tuple[int, Sequence[Span]]]) -> tuple[str, list[list[str]]]:
    """Neighbouring days of the same spans, as a campaign writes them."""
    (first, spans), (last, _) = days[0], days[-1]
    key = _DAYS[first] if first == last else f"{_DAYS[first]}-{_DAYS[last]}"
    return key, [str(span).split("-") for span in spans]


def _common_spans(days: Iterable[Sequence[Span]]) -> list[Span]:
    """What lies in the spans of all of these. None of them crosses midnight."""
    common = [Span(0, 86_400)]
    for spans in days:
        both = [(max(a.open_s, b.open_s), min(a.close_s, b.close_s)) for a in common for b in spans]
        common = [Span(open_s, close_s) for open_s, close_s in both if open_s < close_s]
    return common


def _without_repeats(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _spoken_counts(counts: Sequence[str]) -> str:
    if ANY in counts:
        return ""
    left_out = [one for one in CLASSES if one not in counts]
    if len(left_out) < len(counts):
        return f", not counting {_listing(left_out)}"
    return f", counting {_listing(counts)}"


def _listing(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# --- The list: hours are those of the called party; a day without a window is shut -------------------

_SUBJECT = "The subject is the lead's variable `subject`; without one, every call to the lead counts."
_FROM_8_TO_20 = {"all": [["08:00", "20:00"]]}
_THREE_A_DAY = [{"max": 3, "per": {"hours": 24}, "by": ["lead", "subject"], "counts": ["*"]}]

_LIST = (
    Preset(
        "us-sales", "US", "sales",
        {"windows": {"all": [["08:00", "21:00"]]}},
        certainty="A/B",
        notes=(
            "TCPA and TSR.",
            "Abandoned calls: at most 3% of live answers per campaign in 30 days.",
            "Connect an answered call within 2 seconds; ring for at least 15 seconds or 4 rings.",
            "The FCC proposed to drop its own abandonment and ring rules in October 2025; those of the FTC remain.",
            "A recorded or artificial voice needs prior express written consent; an AI voice is one (FCC, 2024).",
            "Check numbers against the national do-not-call list, not older than 31 days. Honour opt-outs at once.",
            "Check whether a number was given to somebody else after the date of consent (reassigned numbers).",
            "States add rules of their own: see the presets us-fl-sales, us-ok-sales and the others.",
        ),
    ),
    Preset(
        "us-collections", "US", "collections",
        {
            "windows": {"all": [["08:00", "21:00"]]},
            "caps": [{
                "max": 7, "per": {"days": 7}, "by": "debt",
                "counts": [
                    "no_answer", "machine", "message_left", "answered_live", "conversation", "third_party", "refused",
                    "abandoned",
                ],
            }],
            "cooldowns": [{"after": ["conversation"], "wait": {"days": 7, "first_day": "event"}, "by": "debt"}],
        },
        certainty="A/C",
        notes=(
            "Regulation F. Its counts are a legal presumption, not a ceiling.",
            "That busy and failed calls do not count is of certainty C.",
            "Calls made with consent given in the last 7 days need not be counted. Here they count.",
            "Times that the person called inconvenient are a rule too: they are not known here.",
            "An AI voice needs prior express consent.",
        ),
    ),
    Preset(
        "us-ma-collections", "US", "collections",
        {
            "windows": {"all": [["08:00", "21:00"]]},
            "caps": [{
                "max": 2, "per": {"days": 7}, "by": "debt",
                "counts": [
                    "answered_live", "conversation", "third_party", "refused", "abandoned", "message_left",
                ],
            }],
        },
        region="US-MA", base="us-collections", clock="America/New_York",
        certainty="A",
        notes=(
            "Massachusetts, on Eastern time. It counts calls that reached somebody, and messages left.",
            "A voicemail counts as a message left, because nothing says that none was.",
        ),
    ),
    Preset(
        "us-fl-sales", "US", "sales",
        {"windows": _FROM_8_TO_20, "caps": _THREE_A_DAY},
        region="US-FL", base="us-sales", certainty="A/B",
        notes=(
            "Florida. Three calls about one subject in 24 hours, whatever number is used.",
            _SUBJECT,
            "A Florida area code is presumed to be a Florida resident.",
        ),
    ),
    Preset(
        "us-ok-sales", "US", "sales",
        {"windows": _FROM_8_TO_20, "caps": _THREE_A_DAY},
        region="US-OK", base="us-sales", certainty="A/B",
        notes=(
            "Oklahoma. Three calls about one subject in 24 hours, whatever number is used.",
            _SUBJECT,
        ),
    ),
    Preset(
        "us-md-sales", "US", "sales",
        {"windows": _FROM_8_TO_20, "caps": _THREE_A_DAY},
        region="US-MD", base="us-sales", certainty="A/B",
        notes=(
            "Maryland. Three calls about one subject in 24 hours, whatever number is used.",
            _SUBJECT,
        ),
    ),
    Preset(
        "us-wa-sales", "US", "sales",
        {"windows": _FROM_8_TO_20},
        region="US-WA", base="us-sales", certainty="B",
        notes=("Washington.",),
    ),
    Preset(
        "us-tx-sales", "US", "sales",
        {"windows": {"mon-sat": [["09:00", "21:00"]], "sun": [["12:00", "21:00"]]}},
        region="US-TX", base="us-sales", certainty="B",
        notes=(
            "Texas. Sellers register with the state.",
            "One firm reads the hours on Central time for the whole state; here they are the lead's own.",
        ),
    ),
    Preset(
        "us-ct-sales", "US", "sales",
        {"windows": {"all": [["09:00", "20:00"]]}},
        region="US-CT", base="us-sales", certainty="C",
        notes=("Connecticut. Tables disagree about the end (20:00 or 21:00): the stricter is kept.",),
    ),
    Preset(
        "us-nv-sales", "US", "sales",
        {"windows": {"all": [["09:00", "20:00"]]}},
        region="US-NV", base="us-sales", certainty="C",
        notes=("Nevada.",),
    ),
    Preset(
        "us-ky-sales", "US", "sales",
        {"windows": {"all": [["10:00", "21:00"]]}},
        region="US-KY", base="us-sales", certainty="B",
        notes=("Kentucky.",),
    ),
    Preset(
        "us-al-sales", "US", "sales",
        {"windows": {"mon-sat": [["08:00", "20:00"]]}, "holidays": ["US-AL"]},
        region="US-AL", base="us-sales", certainty="B",
        notes=("Alabama. Shut on Sundays and holidays.",),
    ),
    Preset(
        "us-la-sales", "US", "sales",
        {"windows": {"mon-sat": [["08:00", "20:00"]]}, "holidays": ["US-LA"]},
        region="US-LA", base="us-sales", certainty="B",
        notes=(
            "Louisiana. Shut on Sundays and holidays.",
            "All solicitation stops in some declared emergencies: pause the campaign, or add dates to its holidays.",
        ),
    ),
    Preset(
        "us-ms-sales", "US", "sales",
        {"windows": {"mon-sat": [["08:00", "20:00"]]}, "holidays": ["US-MS"]},
        region="US-MS", base="us-sales", clock="America/Chicago", certainty="C",
        notes=(
            "Mississippi. Shut on Sundays and holidays; tables disagree on the holidays.",
            "Its hours are read on Central time; those of us-sales hold as well, on the lead's own clock.",
        ),
    ),
    Preset(
        "us-ri-sales", "US", "sales",
        {"holidays": ["US-RI"]},
        region="US-RI", base="us-sales", certainty="C",
        notes=("Rhode Island. Shut on holidays. Check the hours: about 09:00-18:00 on weekdays.",),
    ),
    Preset(
        "us-pa-sales", "US", "sales",
        {"holidays": ["US-PA"]},
        region="US-PA", base="us-sales", certainty="C",
        notes=("Pennsylvania. Shut on holidays. Check the hours.",),
    ),
    Preset(
        "us-ut-sales", "US", "sales",
        {"holidays": ["US-UT"]},
        region="US-UT", base="us-sales", certainty="C",
        notes=("Utah. Shut on holidays. Check the hours.",),
    ),
    Preset(
        "ca-sales", "CA", "sales",
        {"windows": {"mon-fri": [["09:00", "21:30"]], "sat-sun": [["10:00", "18:00"]]}},
        certainty="A",
        notes=(
            "Canada, CRTC. Not for collections or surveys.",
            "Abandoned calls: at most 5% in a calendar month.",
            "Check numbers against the national do-not-call list, not older than 31 days.",
        ),
    ),
    Preset(
        "uk-sales", "GB", "sales",
        {
            "windows": {"mon-fri": [["08:00", "21:00"]], "sat": [["09:00", "21:00"]]},
            "holidays": ["GB"],
            "cooldowns": [{"after": ["abandoned"], "wait": {"hours": 72}, "by": "phone"}],
        },
        certainty="B",
        notes=(
            "United Kingdom, an industry code.",
            "It says 09:00-21:00 on Sunday too, but to avoid Sundays and holidays: the safe reading is to be shut.",
            "Bank holidays of England, Scotland or Northern Ireland need the lead's region (GB-ENG).",
            "No rate of silent or abandoned calls is tolerated since March 2017: any is misuse. Aim at none.",
            "Keep 3% in 24 hours only as an inner alarm. Message within 2 seconds; ring for at least 15 seconds.",
            "The quiet time after an abandoned call begins only where that outcome is recorded.",
            "Check the preference service: it binds 28 days after registration. Automated calls need consent.",
        ),
    ),
    Preset(
        "uk-collections", "GB", "collections",
        {"windows": {"mon-fri": [["08:00", "21:00"]], "sat": [["09:00", "21:00"]]}, "holidays": ["GB"]},
        certainty="A/C",
        notes=(
            'United Kingdom. The rule says "not at unreasonable times" and to respect requests (CONC 7.9.4).',
            "These hours, and to be shut on Sundays and holidays, are a choice.",
            "Bank holidays of England, Scotland or Northern Ireland need the lead's region (GB-ENG).",
            "Abandoned calls as for uk-sales: aim at none, with a message within 2 seconds and 15 seconds of ringing.",
        ),
    ),
    Preset(
        "ie-credit", "IE", "credit",
        {"windows": {"mon-sat": [["09:00", "21:00"]]}, "holidays": ["IE"]},
        certainty="A",
        notes=("Ireland, Consumer Credit Act, section 46. Shut on Sundays and holidays.",),
    ),
    Preset(
        "es-sales", "ES", "sales",
        {"windows": {"mon-fri": [["09:00", "21:00"]]}, "holidays": ["ES"]},
        certainty="A/B",
        notes=(
            "Spain, consumer law, article 96.2. Shut on weekends and on national, regional and local holidays.",
            "Regional holidays need the lead's region (ES-CT), local ones the campaign's own holidays.",
            "Consent or a narrow legitimate interest (Ley 11/2022, article 66); automated calls need consent.",
            "Consent lapses after 2 years (law of 2025).",
            "Check the exclusion list (Lista Robinson).",
            "A caller id with the dedicated prefix 400 was announced for 2026.",
        ),
    ),
    Preset(
        "es-telecom-code", "ES", "sales by telephone operators",
        {"windows": {"mon-fri": [["10:00", "15:00"], ["16:00", "21:00"]]}, "holidays": ["ES"]},
        base="es-sales", certainty="B",
        notes=("Spain, code of the telephone operators: the siesta is free.",),
    ),
    Preset(
        "pt-sales", "PT", "sales",
        {"windows": {"mon-fri": [["09:00", "22:00"]]}, "holidays": ["PT"]},
        certainty="B",
        notes=(
            "Portugal. The zone of the called party counts, by law. That weekends and holidays are shut is a reading.",
            "Local holidays need the campaign's own holidays.",
        ),
    ),
    Preset(
        "fr-sales", "FR", "sales",
        {
            "windows": {"mon-fri": [["10:00", "13:00"], ["14:00", "20:00"]]},
            "holidays": ["FR"],
            "caps": [{"max": 4, "per": {"days": 30}, "by": "lead", "counts": ["*"]}],
            "cooldowns": [{"after": ["refused"], "wait": {"days": 60, "first_day": "next"}, "by": "lead"}],
        },
        certainty="A/B",
        notes=(
            "France. Since 11 August 2026 prior consent is needed, or a contract in force.",
            "The hours are those of the decree of 2022: look for a newer one. They may widen with proved consent.",
        ),
    ),
    Preset(
        "de-sales", "DE", "sales",
        {"windows": {"mon-fri": [["09:00", "20:00"]]}, "holidays": ["DE"]},
        certainty="A/C",
        notes=(
            "Germany. The hours are custom. Holidays of the federal states need the lead's region (DE-BY).",
            "Prior express consent is needed, and its proof is kept for 5 years.",
        ),
    ),
    Preset(
        "cl-collections", "CL", "collections",
        {
            "windows": {"mon-fri": [["08:00", "20:00"]], "sat": [["10:00", "13:00"]]},
            "holidays": ["CL"],
            "caps": [{"max": 1, "per": {"days": 7}, "by": "lead", "counts": ["conversation"]}],
        },
        certainty="A/C",
        notes=(
            "Chile, Ley 21.320: one contact by telephone, or one visit, in 7 days. Visits are not known here.",
            "Other channels: 2 in 7 days, 2 days apart. They are not known here.",
            'Its "legal working hours" are read as Mon-Sat 08:00-20:00, or with a shorter Saturday: the safer is kept.',
            "A detailed decree was a draft in late 2025.",
            "Caller ids begin with 600. Keep records for 2 years.",
        ),
    ),
    Preset(
        "cl-sales", "CL", "sales",
        {"windows": {"mon-fri": [["09:00", "20:00"]], "sat": [["10:00", "14:00"]]}, "holidays": ["CL"]},
        certainty="B/C",
        notes=(
            "Chile. The hours are custom.",
            "Since August 2025 caller ids begin with 809 (unsolicited) or 600 (existing relation).",
        ),
    ),
    Preset(
        "co-all", "CO", "all",
        {
            "windows": {"mon-fri": [["07:00", "19:00"]], "sat": [["08:00", "15:00"]]},
            "holidays": ["CO"],
            "caps": [{"max": 1, "per": {"calendar": "day"}, "by": "lead", "counts": ["conversation"]}],
        },
        certainty="A/B",
        notes=(
            "Colombia, Ley 2300.",
            "After a conversation one channel only in that calendar week: others are not known here.",
            "Which channels, and other hours, only with the person's separate authorisation.",
            "Check the list of excluded numbers for advertising. Do not call references.",
        ),
    ),
    Preset(
        "mx-collections", "MX", "collections",
        {"windows": {"all": [["07:00", "22:00"]]}},
        certainty="B",
        notes=("Mexico, on the debtor's own clock. No hidden number; only the debtor or the guarantor.",),
    ),
    Preset(
        "mx-sales", "MX", "sales",
        {"windows": {"mon-sat": [["09:00", "20:00"]]}, "holidays": ["MX"]},
        certainty="B/C",
        notes=(
            "Mexico. The hours are custom.",
            "Check the lists REUS (financial services) and REPEP (others).",
        ),
    ),
    Preset(
        "ar-sales", "AR", "sales",
        {"windows": {"mon-fri": [["09:00", "20:00"]], "sat": [["09:00", "13:00"]]}, "holidays": ["AR"]},
        certainty="B/C",
        notes=(
            "Argentina. The hours are custom.",
            "Check the list No Llame every 30 days. Surveys and current customers are exempt.",
        ),
    ),
    Preset(
        "br-sales", "BR", "sales",
        {
            "windows": {"mon-fri": [["09:00", "21:00"]], "sat": [["10:00", "16:00"]]},
            "holidays": ["BR"],
            "caps": [{"max": 2, "per": {"calendar": "day"}, "by": "phone", "counts": ["*"]}],
        },
        certainty="B",
        notes=(
            "Brazil, code of the sector. Avoid calls that hang up within 6 seconds.",
            "Holidays of states need the lead's region (BR-SP).",
            "Check the list Nao Me Perturbe.",
            "The prefix 0303 is not required since August 2025; very large callers authenticate themselves.",
        ),
    ),
    Preset(
        "au-sales", "AU", "sales",
        {"windows": {"mon-fri": [["09:00", "20:00"]], "sat": [["09:00", "17:00"]]}, "holidays": ["AU"]},
        national_holidays=True, certainty="A",
        notes=("Australia. Shut on Sundays and national holidays.", "Check the Do Not Call Register."),
    ),
    Preset(
        "au-research", "AU", "research",
        {"windows": {"mon-fri": [["09:00", "20:30"]], "sat-sun": [["09:00", "17:00"]]}, "holidays": ["AU"]},
        national_holidays=True, certainty="A",
        notes=("Australia. Shut on national holidays.",),
    ),
    Preset(
        "au-collections", "AU", "collections",
        {
            "windows": {"mon-fri": [["07:30", "21:00"]], "sat-sun": [["09:00", "21:00"]]},
            "holidays": ["AU"],
            "caps": [
                {"max": 3, "per": {"days": 7}, "by": "lead", "counts": ["*"]},
                {"max": 10, "per": {"calendar": "month"}, "by": "lead", "counts": ["*"]},
            ],
        },
        national_holidays=True, certainty="A/B",
        notes=(
            "Australia, a guideline. Shut on national holidays.",
            "The guideline speaks of contacts: here every call counts, answered or not, which is the safe reading.",
        ),
    ),
    Preset(
        "in-sales", "IN", "sales",
        {"windows": {"all": [["09:00", "21:00"]]}},
        certainty="B",
        notes=(
            "India. Check the preference register, with its time bands. Caller ids begin with 140.",
            "Nothing is known of Sundays and holidays: they are open.",
        ),
    ),
    Preset(
        "in-collections", "IN", "collections",
        {"windows": {"all": [["08:00", "19:00"]]}},
        certainty="A",
        notes=(
            "India, central bank, 2022.",
            "Nothing is known of Sundays and holidays: they are open.",
        ),
    ),
    Preset(
        "eu-ai", "EU", "AI voice, beside a country's own rules",
        {},
        certainty="B",
        notes=(
            "European Union, AI Act, article 50, from 2 August 2026: tell the person at the start that it is an AI.",
            "It knows no hours: the rules of the country hold.",
        ),
    ),
)  # fmt: skip

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _LIST}
