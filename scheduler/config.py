"""How this process runs: connections, places, intervals. Not what the rules are.

Rules live in tables (`scheduler_config`, `campaigns.call_settings`) and change while the daemon runs;
these settings are read once, from `RINGBACK_*` variables, `.env` and a TOML file, in that order of
precedence. `problems()` lists every complaint at once, relations between settings included.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from scheduler.errors import InvalidSettings, InvalidValue, MissingKeys

DEFAULT_DATABASE_URL = "sqlite:///var/ringback.db"
SLACK = timedelta(seconds=5)
"""What may pass between a request's time-out and its answer being written."""


class Settings(BaseSettings):
    """Settings of one process. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="RINGBACK_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",  # .env is shared with other programs; read_settings() refuses unknown names of ours
        frozen=True,
    )

    database_url: SecretStr = SecretStr(DEFAULT_DATABASE_URL)
    provider: str = "simulator"
    dialing_places: int = Field(20, ge=1, le=2000)
    dispatch_interval: float = Field(1.0, gt=0, le=3600)
    follow_interval: float = Field(2.0, gt=0, le=3600)
    upkeep_interval: float = Field(5.0, gt=0, le=3600)
    poll_every: float = Field(10.0, gt=0, le=3600)
    request_timeout: float = Field(20.0, gt=0, le=600)
    dial_budget: float = Field(10.0, gt=0, le=60)
    lease_seconds: float | None = Field(None, gt=0, le=86400)
    settle_seconds: float = Field(120.0, gt=0, le=86400)
    gone_after: float = Field(900.0, gt=0, le=86400)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    allow_unsafe_durability: bool = False
    metrics_port: int | None = Field(None, ge=1, le=65535)
    min_tzdata: str = "2026b"
    default_country: str = Field("CL", pattern="^[A-Z]{2}$")
    short_call_seconds: float = Field(8.0, ge=0, le=300)
    public_url: str | None = None
    allow_hosts: str = ""
    open_access: bool = False
    keep_texts_days: float | None = Field(None, ge=1, le=3650)
    web_rate: float = Field(200.0, ge=0, le=1_000_000)
    trusted_proxies: str = ""
    host: str = Field(default_factory=socket.gethostname)
    state_dir: str | None = None

    simulator_url: str | None = None
    simulator_seed: int = 1
    simulator_mix: str = (
        "completed=35,no_answer=30,busy=12,voicemail=10,hang_up=6,failed=3,callback=2,invalid_number=1,do_not_call=1"
    )
    simulator_ring_seconds: float = Field(2.0, ge=0)
    simulator_talk_seconds: float = Field(6.0, ge=0)
    simulator_callback_minutes: float = Field(1.0, ge=0)
    simulator_faults: str = ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, _toml_path())
        return (init_settings, env_settings, dotenv_settings, toml)

    @property
    def url(self) -> str:
        return self.database_url.get_secret_value()

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Hosts exempt from the rules about addresses, from a list with commas."""
        return frozenset(filter(None, (one.strip().lower() for one in self.allow_hosts.split(","))))

    def lease(self, configured: timedelta | None = None) -> timedelta:
        """How long a claim holds: this process's own setting, else the row `lease_seconds`."""
        if self.lease_seconds is not None:
            return timedelta(seconds=self.lease_seconds)
        return configured or timedelta(seconds=60)

    def safe_lease(self, configured: timedelta) -> timedelta:
        """The lease to claim with: what is configured, kept between the longest dial and the settle time."""
        shortest = timedelta(seconds=self.dial_budget + self.request_timeout + 0.1) + SLACK
        longest = timedelta(seconds=self.settle_seconds - 1)
        return max(shortest, min(self.lease(configured), longest))

    def settle(self, ring_timeout: timedelta, listing_lag: timedelta) -> timedelta:
        """When "no such call" may be believed, counted from the claim: what somebody set, else long enough for the
        request, the ringing and the vendor's listing to be over.
        """
        chosen = timedelta(seconds=self.settle_seconds)
        if "settle_seconds" in self.model_fields_set or not listing_lag:
            return chosen
        return max(chosen, timedelta(seconds=self.request_timeout) + ring_timeout + listing_lag)

    def problems(self, lease: timedelta | None = None) -> list[str]:
        """Every complaint about these settings and their relations. Empty when all is well."""
        found = []
        held = self.lease(lease)
        longest_dial = timedelta(seconds=self.dial_budget + self.request_timeout) + SLACK
        if not longest_dial < held:
            found.append(
                f"lease_seconds is {held.total_seconds():g}, but a dial may take dial_budget + request_timeout + "
                f"{SLACK.total_seconds():g} s = {longest_dial.total_seconds():g} s; raise lease_seconds above that"
            )
        if not held < timedelta(seconds=self.settle_seconds):
            found.append(
                f"settle_seconds is {self.settle_seconds:g}, but it must exceed the lease "
                f"({held.total_seconds():g} s), or a call still being placed could be taken for one never made"
            )
        return found

    def warnings(self) -> list[str]:
        """Names in the environment that look like settings and are none: most likely typing errors."""
        return [
            f"{name} is set but is no setting of Ringback{_closest(name)}"
            for name in sorted(os.environ)
            if name.startswith(PREFIX) and name not in _NAMES and not name.startswith(KNOWN_ELSEWHERE)
        ]


LARGEST_KEY = 65_536
_SECRET_NAMES = re.compile(r"KEY|SECRET|TOKEN|PASSWORD")
_secrets: set[str] = set()


def _note_secret(name: str, text: str) -> str:
    if _SECRET_NAMES.search(name) and len(text) >= 8:
        _secrets.add(text)
    return text


def hide_secrets(text: str) -> str:
    """The text without any key that this process has read: a vendor may echo what it was sent."""
    for secret in _secrets:
        text = text.replace(secret, "(key)")
    return text


class Keys:
    """Keys of vendors under the vendors' usual names (`RETELL_API_KEY`...), which have no prefix of ours.

    From the environment, from a file that `NAME_FILE` points at, or from `.env`, in that order. They are
    never written anywhere: texts come as `SecretStr` where `secret` was asked for, and errors name the
    variable alone.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        known = {**{name: text for name, text in dotenv_values(".env").items() if text is not None}, **os.environ}
        self._values = known if values is None else values

    def __repr__(self) -> str:
        return "Keys(...)"

    def text(self, name: str) -> str | None:
        """What is set, without spaces around; None where it is not or is empty. Raises InvalidValue."""
        written = (self._values.get(name) or "").strip()
        if written:
            return _note_secret(name, written)
        path = (self._values.get(f"{name}_FILE") or "").strip()
        if not path:
            return None
        try:
            file = Path(path)
            if not file.is_file() or file.stat().st_size > LARGEST_KEY:  # a pipe or a device would never end
                raise OSError("no plain file of a key's size")
            return _note_secret(name, file.read_text("utf-8").strip()) or None
        except (OSError, UnicodeDecodeError) as error:
            right = f"name a file that can be read and holds the value alone ({type(error).__name__})"
            raise InvalidValue(f"{name}_FILE", path, right) from None

    def secret(self, name: str) -> SecretStr | None:
        found = self.text(name)
        return None if found is None else SecretStr(found)

    def need(self, provider: str, *names: str) -> tuple[str, ...]:
        """The texts of all `names`. Raises MissingKeys naming every one that is not set."""
        found = {name: self.text(name) for name in names}
        missing = [name for name, text in found.items() if text is None]
        if missing:
            raise MissingKeys(provider, missing)
        return tuple(text for text in found.values() if text is not None)


PREFIX = "RINGBACK_"
_NAMES = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG"}
KNOWN_ELSEWHERE = (PREFIX + "TEST_", PREFIX + "FAULT_", PREFIX + "BENCH_")


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises InvalidSettings naming each field and what would be right."""
    problems = [*_unknown_in_toml(), *_unknown_in_dotenv()]
    if problems:
        raise InvalidSettings("settings", problems)
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise InvalidSettings("settings", [_sentence(problem) for problem in error.errors()]) from None
    except (OSError, ValueError) as error:  # an unreadable or malformed .env or TOML file
        raise InvalidSettings("settings", [str(error)]) from None


def _toml_path() -> Path:
    return Path(os.environ.get("RINGBACK_CONFIG", "ringback.toml"))


def _unknown_in_toml() -> list[str]:
    path = _toml_path()
    try:
        written = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return [f"{path}: RINGBACK_CONFIG names it, but it does not exist"] if "RINGBACK_CONFIG" in os.environ else []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [f"{path}: {error}"]
    return [
        f"{path}: {name} is no setting{_closest(PREFIX + name.upper())}"
        for name in written
        if PREFIX + name.upper() not in _NAMES
    ]


def _unknown_in_dotenv() -> list[str]:
    # Other programs may share the file, so only names with our prefix are ours to judge.
    return [
        f".env: {name} is no setting{_closest(name)}"
        for name in dotenv_values(".env")
        if name.startswith(PREFIX) and name not in _NAMES and not name.startswith(KNOWN_ELSEWHERE)
    ]


def _closest(name: str) -> str:
    found = difflib.get_close_matches(name, _NAMES, n=1)
    return f"; did you mean {found[0]}?" if found else ""


def _sentence(problem: Any) -> str:
    name = "RINGBACK_" + "_".join(str(part) for part in problem["loc"]).upper()
    return f"{name}: {problem['input']!r} cannot be used; {problem['msg']}"
