"""The rules in force right now, read from the tables at every step.

Decided here: what happens with a value that does not validate. `scheduler_config`: the last good value of
that key stays in force (also across a restart, from `rule_versions`); if there is none, nothing is dialed.
`call_settings`: the last good version of that campaign; if there is none, the campaign is not dialed.
It is said at every reading until somebody mends it, and never replaced by a default in silence.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.errors import InvalidSettings
from scheduler.model import UNREADABLE, Campaign
from scheduler.rules.policy import STOP, CallSettings, Config, Policy, read_call_settings, read_config
from scheduler.store import settings as store
from scheduler.store.campaigns import read_campaigns
from scheduler.store.database import Connection


@dataclass(frozen=True)
class Problem:
    """A settings row that does not validate. `kept`: a last good value is in force in its place."""

    where: str
    sentence: str
    kept: bool
    campaign_id: int | None = None


class RuleBook:
    """Reads rules and remembers the last good version of each row. One per process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_config: dict[str, str] = {}
        self._is_primed = False
        self._config_rows: dict[str, str] | None = None
        self._config = Config()
        self._settings: dict[int, tuple[object, CallSettings | None, str | None]] = {}
        self._campaigns: dict[int, Campaign] = {}
        self._recorded: set[tuple[int | None, str]] = set()
        self._policies: dict[int | None, Policy] = {}

    @property
    def config(self) -> Config:
        """`scheduler_config` as it was read last; empty before the first reading."""
        return self._config

    def read(self, connection: Connection, campaigns: Iterable[Campaign] = ()) -> Rules:
        """The rules as the tables have them in this transaction, for these campaigns and for no campaign."""
        rows = store.read_config_rows(connection)
        with self._lock:
            if rows != self._config_rows:
                self._read_config(connection, rows)
            for campaign in campaigns:
                self._read_settings(connection, campaign)
            return Rules(
                config=self._config,
                policies={None: self._policy(None), **{one.id: self._policy(one.id) for one in campaigns}},
                problems=tuple(self._problems(campaigns)),
            )

    def read_for(self, connection: Connection, campaign_ids: Iterable[int | None]) -> Rules:
        """The rules for these campaigns, by id."""
        found = read_campaigns(connection, {one for one in campaign_ids if one is not None})
        return self.read(connection, list(found.values()))

    def _read_config(self, connection: Connection, rows: dict[str, str]) -> None:
        config = read_config(rows, self._last_config)
        if config.problems and not self._is_primed:
            # A restart must not turn a value that was good yesterday into none at all.
            version = store.find_last_version(connection, None)
            known = version[1].get("config", {}) if version else {}
            self._last_config = {**known, **self._last_config}
            config = read_config(rows, self._last_config)
        self._is_primed = True
        self._config, self._config_rows = config, rows
        self._last_config = {**self._last_config, **config.texts}
        self._policies.clear()

    def record(self, connection: Connection, rules: Rules, campaign_ids: Iterable[int | None], now: datetime) -> None:
        """Keep the rules that decide something in this transaction, so that its events can be read later.

        Once written they are found at the next time, and only then remembered: this transaction may fail.
        """
        for campaign_id in set(campaign_ids):
            policy = rules.policy(campaign_id)
            key = (policy.campaign_id, str(policy.fingerprint))
            with self._lock:
                if key in self._recorded:
                    continue
            if store.is_version_known(connection, *key):
                with self._lock:
                    self._recorded.add(key)
            else:
                store.add_version(connection, *key, version_document(policy), now)

    def _read_settings(self, connection: Connection, campaign: Campaign) -> None:
        before = self._campaigns.get(campaign.id)
        if before is None or (before.call_until, before.group) != (campaign.call_until, campaign.group):
            self._campaigns[campaign.id] = campaign
            self._policies.pop(campaign.id, None)
        known = self._settings.get(campaign.id)
        if known is not None and known[0] == campaign.settings:
            return
        good: CallSettings | None
        problem: str | None = None
        try:
            good = read_call_settings(campaign.settings)
        except InvalidSettings as error:
            problem = str(error)
            good = known[1] if known else self._last_good(connection, campaign.id)
        self._settings[campaign.id] = (campaign.settings, good, problem)
        self._policies.pop(campaign.id, None)

    def _last_good(self, connection: Connection, campaign_id: int) -> CallSettings | None:
        version = store.find_last_version(connection, campaign_id)
        try:
            return read_call_settings(settings_of_version(version[1])) if version else None
        except InvalidSettings:
            return None  # written by a release that knew other settings

    def _policy(self, campaign_id: int | None) -> Policy:
        found = self._policies.get(campaign_id)
        if found is None:
            settings = self._settings[campaign_id][1] if campaign_id is not None else None
            campaign = self._campaigns[campaign_id] if campaign_id is not None else None
            found = self._policies[campaign_id] = Policy(
                self._config, settings or CallSettings(), campaign_id=campaign_id,
                group=campaign.group if campaign else None,
                call_until=campaign.call_until if campaign and campaign.call_until != UNREADABLE.date() else None,
            )
        return found

    def _problems(self, campaigns: Iterable[Campaign]) -> Iterable[Problem]:
        for key, sentence in self._config.problems.items():
            # No value is kept of the row that stops everything: what cannot be read there stops.
            yield Problem("scheduler_config", sentence, kept=key in self._config.values and key != STOP)
        for campaign in campaigns:
            _, good, sentence2 = self._settings[campaign.id]
            if sentence2 is not None:
                yield Problem(f"campaign {campaign.code}", sentence2, kept=good is not None, campaign_id=campaign.id)
            for sentence in campaign.problems:  # a row has no last good version: it is not dialed until mended
                yield Problem(f"campaign {campaign.code}", sentence, kept=False, campaign_id=campaign.id)


def version_document(policy: Policy) -> dict[str, Any]:
    """A policy as `rule_versions` keeps it: all that is needed to say later what was in force."""
    document: dict[str, Any] = {"config": dict(policy.config.texts)}
    if policy.campaign_id is not None:
        document["settings"] = policy.settings.model_dump(mode="json", exclude_none=True)
        document["call_until"] = policy.call_until.isoformat() if policy.call_until else None
        document["group"] = policy.group
    return document


def settings_of_version(document: Mapping[str, Any]) -> dict[str, Any]:
    """The call_settings in it; earlier releases kept these alone."""
    found = document.get("settings", {}) if "config" in document else document
    return dict(found)


@dataclass(frozen=True)
class Rules:
    """One reading. `problems` name what does not validate."""

    config: Config
    policies: Mapping[int | None, Policy]
    problems: tuple[Problem, ...]

    def policy(self, campaign_id: int | None) -> Policy:
        """In force for leads of this campaign; a campaign that does not exist follows `scheduler_config`."""
        return self.policies.get(campaign_id) or self.policies[None]

    def may_dial(self, campaign_id: int | None) -> bool:
        """Not while a rule of it is unreadable and no last good version is known."""
        return self.config.is_usable and not any(
            one.campaign_id == campaign_id and not one.kept for one in self.problems if one.campaign_id is not None
        )
