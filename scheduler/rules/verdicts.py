"""What is said of each row of a file: its verdict with the numbers in it, their kinds of line, countries and zones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from scheduler.errors import InvalidValue
from scheduler.rules.phones import learn, line_kind
from scheduler.rules.rows import NewLead, Reject, Verdict
from scheduler.rules.zones import lead_zones


class RowVerdict(NamedTuple):
    """A line of the verdicts file. `kinds` and `countries` go with `numbers`; `zones` are the lead's candidates."""

    line: int
    verdict: Verdict
    numbers: tuple[str, ...]
    kinds: tuple[str, ...]
    countries: tuple[str, ...]
    zones: tuple[str, ...]
    reason: str


def describe_rows(
    added: Iterable[NewLead],
    rejects: Sequence[Reject],
    known: Mapping[int, str],
    *,
    campaign_zones: tuple[str, ...] = (),
    default_zone: str = "UTC",
) -> list[RowVerdict]:
    """Every row once, in the order of the file. What is said of a good row are its warnings and what is `known`."""
    said: dict[int, list[str]] = {line: [sentence] for line, sentence in known.items()}
    for one in rejects:
        if one.is_warning:
            said.setdefault(one.line, []).append(f"{one.reason} ({one.field} {one.value})")
    found = [_describe_reject(one) for one in rejects if not one.is_warning]
    for row in added:
        where = lead_zones(
            time_zone=row.time_zone, region=row.region, traits=learn(row.numbers[0].number),
            campaign_zones=campaign_zones, default_zone=default_zone,
        )
        numbers = tuple(one.number for one in row.numbers)
        kinds, countries = _tell(numbers)
        found.append(RowVerdict(
            row.line, Verdict.GOOD, numbers, kinds, countries, where.zones, "; ".join(said.get(row.line, ())),
        ))
    return sorted(found, key=lambda one: one.line)


def _describe_reject(one: Reject) -> RowVerdict:
    kinds, countries = _tell(one.numbers)
    zones = tuple(dict.fromkeys(_zones_of(one.numbers)))
    # The value is a number that stands beside already, unless none could be read.
    reason = one.reason if one.numbers else f"{one.field} {one.value!r}: {one.reason}"
    return RowVerdict(one.line, one.verdict, one.numbers, kinds, countries, zones, reason)


def _tell(numbers: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(map(line_kind, numbers)), tuple(_country(number) for number in numbers)


def _country(number: str) -> str:
    try:
        return learn(number).country or "none"
    except InvalidValue:
        return "none"


def _zones_of(numbers: Iterable[str]) -> Iterator[str]:
    for number in numbers:
        try:
            yield from learn(number).zones
        except InvalidValue:
            continue
