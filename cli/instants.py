"""Points in time as options: ISO 8601 or `now`, never guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

LOOKS_LIKE_ISO = re.compile(r"\d{4}-?\d\d-?\d\d[T ]\d\d")
FIRST_YEAR, LAST_YEAR = 1971, 2037
"""What the TIMESTAMP columns of every server can hold, whatever the zone."""
HELP = (
    "ISO 8601: with an offset or Z an instant (2027-03-01T15:00:00Z), without one the time on the lead's own clock, "
    "in its first zone (2027-03-01T12:00); or `now`."
)


def read_instant(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Callback of an option: aware for an instant, naive for a wall time, None for nothing."""
    from dateutil.parser import isoparse

    if value is None:
        return None
    if value.strip().lower() == "now":
        return datetime.now(UTC)
    right = "write it like 2027-03-01T15:00:00Z, or now"
    if not LOOKS_LIKE_ISO.match(value.strip()):
        raise click.BadParameter(f"{value!r} is no time; {right}")
    try:
        at = isoparse(value.strip())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no time ({error}); {right}") from None
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise click.BadParameter(f"{value!r} is out of range; years {FIRST_YEAR} to {LAST_YEAR} can be stored")
    return at


UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST_SPAN = timedelta(days=3660)


def read_span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Callback of an option: a length of time such as 24h, 7d, 90m or 30s."""
    if value is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value.lower())
    if found is None or float(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no length of time; write 24h, 7d or 90m")
    try:
        span = timedelta(**{UNITS[found[2]]: float(found[1])})
    except OverflowError:
        span = timedelta.max
    if span > LONGEST_SPAN:
        raise click.BadParameter(f"{value!r} is too long; at most {LONGEST_SPAN.days} days")
    return span
