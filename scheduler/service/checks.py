"""What `ringback check` verifies: settings and their relations, rules, schema, server, clocks, promises.

Decided here: what is a problem (something is wrong, or a promise is broken: exit 1), a warning (it works,
but somebody should look) or merely good to know. Nothing is changed. What must stay true: every question
is asked even when another one finds a problem; a question that cannot be answered is a problem itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from scheduler.errors import DatabaseUnavailable, InvalidSettings, InvalidValue, SchemaMismatch
from scheduler.model import Campaign, CampaignStatus
from scheduler.providers.base import Standing
from scheduler.rules.hours import tzdata_version
from scheduler.rules.policy import CONFIG_KEYS, Config, Policy, read_call_settings, read_config
from scheduler.service.runtime import Runtime
from scheduler.store import accounts, calls, reports, schema, second_calls, settings
from scheduler.store.database import Connection, skew
from scheduler.store.server import list_odd_columns, read_server

SKEW_WARNING = timedelta(seconds=2)
SKEW_PROBLEM = timedelta(seconds=10)
ALIVE = timedelta(minutes=1)
SLACK = timedelta(seconds=5)
"""What a busy machine may take beyond its intervals before that is worth a word."""
MOST_ODD = 5
ODD_DAYS = timedelta(days=7)
STILL_IN_USE = (CampaignStatus.ACTIVE, CampaignStatus.PAUSED)


class Level(StrEnum):
    PROBLEM = "problem"
    WARNING = "warning"
    INFO = "info"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer. `check` names the question, `rows` the first rows concerned."""

    level: Level
    check: str
    sentence: str
    rows: tuple[Any, ...] = field(default=())


def run_checks(runtime: Runtime) -> Iterator[Finding]:
    """Every finding, as it is found: problems, warnings, and one line for each question without any."""
    rules, unreadable = _find_rules(runtime)
    yield from _or_ok("settings", _check_settings(runtime, rules.config), "the settings of this process fit together")
    if unreadable:
        yield unreadable
        return
    yield from _or_ok("scheduler_config", _check_config(rules), "every row of scheduler_config can be used")
    yield from _or_ok("campaigns", _check_campaigns(runtime, rules), "the call_settings of every campaign can be used")
    yield from _or_ok("accounts", _check_accounts(runtime), "every account can be used")
    yield Finding(Level.OK, "schema", f"the tables are at revision {schema.head()}, as this program needs them")
    yield from _or_ok("tzdata", _check_zones(runtime), f"the time zone database is {tzdata_version()}")
    yield from _or_ok("server", _check_server(runtime), "the server keeps what it was told")
    yield from _or_ok("clock", _check_clock(runtime), "this host and the database agree on the time")
    for promise in reports.INVARIANTS:
        yield _check_promise(runtime, promise)
    yield from _or_ok("in_time", _check_in_time(runtime, rules), "nothing stands still")
    yield from _or_ok("vendor_words", _check_words(runtime), "every word that providers said is known")
    yield from _or_ok("providers", _check_breakers(runtime), "no provider is left alone")
    yield from _or_ok("second_calls", _check_odd(runtime), "no provider called anybody twice for one request")
    yield from list(_check_held(runtime)) or [Finding(Level.OK, "held", "no call waits for people")]


def check_providers(runtime: Runtime, name: str | None = None) -> Iterator[Finding]:
    """What providers say of keys, agents, caller ids and credit: the one called `name`, or every one in use."""
    rules = _read_rules(runtime)
    going = [one for one in rules.campaigns if one.status in STILL_IN_USE]
    names = [name] if name else sorted({runtime.default_provider, *(one.provider for one in going if one.provider)})
    for one in names:
        try:
            provider = runtime.providers.get(one)
        except InvalidValue as error:
            yield Finding(Level.PROBLEM, one, str(error))
            continue
        agents, numbers = _wanted_of(runtime, one, going)
        findings = provider.inspect(agents, numbers)
        for found in findings:
            yield Finding(Level(found.standing.value), one, found.sentence)
        if not findings:
            yield Finding(Level.OK, one, "there is nothing to verify")
        elif all(found.standing is Standing.WARNING for found in findings):
            yield Finding(Level.PROBLEM, one, f"{one} could not be asked, so nothing is verified; try again")


def _wanted_of(runtime: Runtime, provider: str, going: Iterable[Campaign]) -> tuple[set[str], set[str]]:
    """The agents and caller ids that campaigns of this provider name for themselves."""
    agents, numbers = set(), set()
    for campaign in going:
        if (campaign.provider or runtime.default_provider) != provider:
            continue
        try:
            settings = read_call_settings(campaign.settings)
        except InvalidSettings:
            continue  # it is not dialed, and `ringback check` says why
        agents |= {settings.agent_id} if settings.agent_id else set()
        numbers |= {settings.from_number} if settings.from_number else set()
    return agents, numbers


@dataclass(frozen=True)
class _Rules:
    """What people wrote, read without any last good value in between."""

    rows: Mapping[str, str]
    config: Config
    campaigns: tuple[Campaign, ...]


def _find_rules(runtime: Runtime) -> tuple[_Rules, Finding | None]:
    """The rules, or none and why there are none to be read."""
    try:
        schema.require_current(runtime.database)
        return _read_rules(runtime), None
    except SchemaMismatch as error:
        return _Rules({}, Config(), ()), Finding(Level.PROBLEM, "schema", str(error))
    except DatabaseUnavailable as error:
        return _Rules({}, Config(), ()), Finding(Level.PROBLEM, "database", str(error))


def _read_rules(runtime: Runtime) -> _Rules:
    def read(connection: Connection) -> _Rules:
        rows = settings.read_config_rows(connection)
        return _Rules(rows, read_config(rows), reports.read_campaigns(connection))

    return runtime.database.read(read)


def _check_settings(runtime: Runtime, config: Config) -> Iterator[Finding]:
    seconds = config.values.get("lease_seconds")
    lease = None if seconds is None else timedelta(seconds=seconds)
    for sentence in runtime.settings.problems(lease):
        yield Finding(Level.PROBLEM, "settings", sentence)
    for sentence in runtime.settings.warnings():
        yield Finding(Level.WARNING, "settings", sentence)
    try:
        provider = runtime.providers.get(runtime.default_provider)
    except InvalidValue as error:
        yield Finding(Level.PROBLEM, "settings", str(error))
        return
    ring = timedelta(seconds=config.get("ring_timeout", 30))
    needed = timedelta(seconds=runtime.settings.request_timeout) + ring + provider.listing_lag
    if provider.listing_lag and runtime.settings.settle(ring, provider.listing_lag) < needed:
        yield Finding(
            Level.WARNING, "settings",
            f"settle_seconds is {runtime.settings.settle_seconds:g}, but a call of {provider.name} may be missing from "
            f"what can be searched for {needed.total_seconds():g} s; raise it or leave it out, or a lost call could "
            "be taken for one never made",
        )  # fmt: skip


def _check_config(rules: _Rules) -> Iterator[Finding]:
    for key, sentence in rules.config.problems.items():
        yield Finding(Level.PROBLEM, "scheduler_config", sentence, (key,))
    for key in rules.config.unknown:
        sentence = f"{key}: there is no such setting, so the row does nothing; misspelled?"
        yield Finding(Level.WARNING, "scheduler_config", sentence, (key,))
    missing = [key for key in CONFIG_KEYS if key not in rules.rows]
    if missing:
        sentence = f"no row for {', '.join(missing)}: the built-in value is in force"
        yield Finding(Level.INFO, "scheduler_config", sentence, tuple(missing))


def _check_campaigns(runtime: Runtime, rules: _Rules) -> Iterator[Finding]:
    for campaign in rules.campaigns:
        in_use = campaign.status in STILL_IN_USE
        try:
            read_call_settings(campaign.settings, f"campaign {campaign.code}")
        except InvalidSettings as error:
            yield Finding(Level.PROBLEM if in_use else Level.WARNING, "campaigns", str(error), (campaign.id,))
        for sentence in campaign.problems:
            level = Level.PROBLEM if in_use else Level.WARNING
            yield Finding(level, "campaigns", f"campaign {campaign.code}: {sentence}", (campaign.id,))
        if in_use and campaign.provider:
            try:
                runtime.providers.get(campaign.provider)
            except InvalidValue as error:
                yield Finding(Level.PROBLEM, "campaigns", f"campaign {campaign.code}: {error}", (campaign.id,))


def _check_accounts(runtime: Runtime) -> Iterator[Finding]:
    for account in runtime.database.read(accounts.list_all):
        if account.problem is not None:
            sentence = f"account {account.code}: {account.problem}; its campaigns are not dialed"
            yield Finding(Level.PROBLEM, "accounts", sentence, (account.id,))


def _check_zones(runtime: Runtime) -> Iterator[Finding]:
    here, wanted = tzdata_version(), runtime.settings.min_tzdata
    if here == "unknown" or here < wanted:
        yield Finding(
            Level.WARNING, "tzdata",
            f"the time zone database is {here}, older than {wanted}: recent changes of law are not in it; "
            "update the package tzdata",
        )  # fmt: skip


def _check_server(runtime: Runtime) -> Iterator[Finding]:
    server = runtime.database.read(read_server)
    for obstacle in server.obstacles:
        yield Finding(Level.PROBLEM, "server", obstacle)
    if server.read_only:
        sentence = f"the server is read-only ({server.read_only} is on): nothing is dialed while it is"
        yield Finding(Level.PROBLEM, "server", sentence)
    if not server.is_durable:
        yield Finding(
            Level.WARNING, "server",
            f"{server.name} has {server.durability}: a crash may lose an attempt whose call was made, and ring "
            "people twice; set it to 1",
        )  # fmt: skip
    if server.isolation not in ("READ COMMITTED", "SERIALIZABLE"):
        sentence = f"the isolation level is {server.isolation}, so daemons block each other; READ COMMITTED is right"
        yield Finding(Level.WARNING, "server", sentence)
    for odd in server.odd_session:
        yield Finding(Level.PROBLEM, "server", f"of our own session {odd}; a proxy in between may have reset it")
    odd_columns = runtime.database.read(list_odd_columns)
    if odd_columns:
        yield Finding(
            Level.PROBLEM, "server",
            f"{len(odd_columns)} columns have another character set or collation than they should, so that ids may be "
            f"taken for each other or names not be kept: {'; '.join(odd_columns[:MOST_ODD])}; `ringback db check` "
            "lists them all",
        )  # fmt: skip
    yield Finding(Level.INFO, "server", f"{server.name} {server.version}")
    if not server.knows_zones:
        yield Finding(
            Level.INFO, "server",
            "the server has no time zone tables: Ringback needs none, but SQL of yours that names a zone does; "
            "load them with mysql_tzinfo_to_sql /usr/share/zoneinfo | mysql mysql",
        )  # fmt: skip


def _check_clock(runtime: Runtime) -> Iterator[Finding]:
    apart = abs(skew(runtime.database))
    if apart > SKEW_WARNING:
        level = Level.PROBLEM if apart > SKEW_PROBLEM else Level.WARNING
        sentence = f"the clocks of this host and of the database are {apart.total_seconds():.1f} s apart; set up NTP"
        yield Finding(level, "clock", sentence)


def _check_promise(runtime: Runtime, promise: reports.Promise) -> Finding:
    try:
        broken = runtime.database.read(lambda connection: reports.find_broken(connection, promise))
    except DatabaseUnavailable as error:  # so large a table that the answer did not come in time
        return Finding(Level.PROBLEM, promise.key, f"{promise.sentence}: could not be checked: {error}")
    if broken is None:
        return Finding(Level.OK, promise.key, promise.sentence)
    count = f"{len(broken.examples)}{' or more' if broken.has_more else ''}"
    return Finding(Level.PROBLEM, promise.key, f"broken by {count} rows: {promise.sentence}", broken.examples)


def _check_in_time(runtime: Runtime, rules: _Rules) -> Iterator[Finding]:
    now = runtime.clock.now()
    own = runtime.settings
    upkeeps_ago = now - timedelta(seconds=2 * own.upkeep_interval) - SLACK
    horizon = now - timedelta(seconds=own.settle_seconds + 3 * own.poll_every) - _longest_call(rules) - SLACK
    alarms, running, due = runtime.database.read(
        lambda connection: (
            reports.list_alarms(
                connection, now, upkeeps_ago=upkeeps_ago, minute_ago=now - timedelta(minutes=1), horizon=horizon
            ),
            reports.list_daemons(connection, now - ALIVE),
            calls.list_due_campaigns(connection, now - timedelta(seconds=2 * own.dispatch_interval) - SLACK),
        )
    )
    for alarm in alarms:
        yield Finding(Level.WARNING, "in_time", f"{len(alarm.ids)} {alarm.sentence}", alarm.ids)
    if not running:
        level = Level.WARNING if due or alarms else Level.INFO
        waits = ", although calls are due" if due else ""
        yield Finding(level, "in_time", f"no daemon is running{waits}; start one with `ringback run`")
    elif due:
        yield from runtime.database.read(lambda connection: list(_late_campaigns(connection, rules, due)))


def _late_campaigns(connection: Connection, rules: _Rules, due: Iterable[calls.DueCampaign]) -> Iterator[Finding]:
    """Campaigns whose due calls wait although there is room for them."""
    in_flight = calls.count_in_flight(connection)
    if in_flight.total >= rules.config.get("max_concurrent_calls", 20):
        return
    for one in due:
        most = _own_limit(one.campaign)
        if most is None or in_flight.by_campaign.get(one.id, 0) < most:
            who = f"campaign {one.campaign.code}" if one.campaign else "leads without a campaign"
            sentence = f"calls of {who} are due since {one.oldest:%Y-%m-%d %H:%M:%S} UTC, and there is room for them"
            yield Finding(Level.WARNING, "in_time", sentence, (one.id,) if one.id else ())


def _own_limit(campaign: Campaign | None) -> int | None:
    try:
        return read_call_settings(campaign.settings).max_concurrent_calls if campaign else None
    except InvalidSettings:
        return 0  # it is not dialed at all, and `_check_campaigns` says why


def _longest_call(rules: _Rules) -> timedelta:
    """How long a call may ring and last, over every campaign."""
    longest = _length(Policy(rules.config))
    for campaign in rules.campaigns:
        try:
            longest = max(longest, _length(Policy(rules.config, read_call_settings(campaign.settings))))
        except InvalidSettings:
            continue
    return longest


def _length(policy: Policy) -> timedelta:
    return policy.ring_timeout + policy.max_call_duration


def _check_words(runtime: Runtime) -> Iterator[Finding]:
    for row in runtime.database.read(reports.list_unknown_words):
        yield Finding(
            Level.WARNING, "vendor_words",
            f"{row['provider']} said {row['provider_status']!r} on {row['attempts']} attempts; "
            "it is not known and was read as failed",
            (row["last_attempt_id"],),
        )  # fmt: skip


def _check_breakers(runtime: Runtime) -> Iterator[Finding]:
    now = runtime.clock.now()
    for name, pace in sorted(runtime.database.read(calls.read_paces).items()):
        rate = pace.breaker.calls_per_second(now)
        if pace.breaker.is_open(now):
            sentence = f"{name} is left alone until {pace.breaker.open_until:%Y-%m-%d %H:%M:%S} UTC: {pace.reason}"
            yield Finding(Level.WARNING, "providers", sentence)
        elif pace.breaker.pace is not None:
            sentence = f"{name} is asked for {pace.breaker.pace} calls at a time until it answers again: {pace.reason}"
            yield Finding(Level.WARNING, "providers", sentence)
        elif rate is not None:
            sentence = f"{name} throttled us: {rate:.1f} calls a second for now, doubling every half minute"
            yield Finding(Level.INFO, "providers", sentence)


def _check_odd(runtime: Runtime) -> Iterator[Finding]:
    """What providers did wrong of late, with what it cost."""
    since = runtime.clock.now() - ODD_DAYS
    odd, spent = runtime.database.read(
        lambda connection: (second_calls.count_odd(connection, since), second_calls.count_spent(connection, since))
    )
    if "second_call" in odd:
        times, attempts = odd["second_call"]
        costs = " and ".join(f"{one.cost.normalize():f} {one.unit or 'without a unit'}" for one in spent)
        known = f"they cost {costs}" if costs else "what they cost is not known"
        yield Finding(
            Level.WARNING, "second_calls",
            f"{times} second calls for one request in the last {ODD_DAYS.days} days; {known}; ask the provider why",
            attempts,
        )  # fmt: skip
    if "event_mismatch" in odd:
        times, attempts = odd["event_mismatch"]
        yield Finding(
            Level.WARNING, "second_calls",
            f"{times} events in the last {ODD_DAYS.days} days named one attempt and the call of another; none of them "
            "was believed", attempts,
        )  # fmt: skip


def _check_held(runtime: Runtime) -> Iterator[Finding]:
    for row in runtime.database.read(reports.list_held):
        yield Finding(Level.INFO, "held", f"{row['calls']} planned calls are held ({row['hold']}): {row['reason']}")


def _or_ok(check: str, found: Iterable[Finding], sentence: str) -> Iterator[Finding]:
    """The findings, and where none of them is more than good to know, a line saying that all is well."""
    listed = list(found)
    yield from listed
    if all(one.level is Level.INFO for one in listed):
        yield Finding(Level.OK, check, sentence)
