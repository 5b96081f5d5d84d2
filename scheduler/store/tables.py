"""The tables, as SQLAlchemy metadata.

Names of tables, columns and values are a public contract: operators write SQL against them. Decided
here: types per engine, indexes, and the uniqueness that holds promises even where code is wrong.
What a newcomer would get wrong: there are no foreign keys between the busy tables. A child row
inserted under a foreign key locks its parent, so planning a call would wait for the campaign row that
another daemon holds while it takes; and attempts must outlive the schedule rows that operators delete.
Orphans are reported by `ringback cleanup` and refused by the gate.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Dialect,
    Double,
    Enum,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy import String as CoreString
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from scheduler.model import (
    UNREADABLE,
    AttemptState,
    CallStatus,
    CampaignStatus,
    DaemonDoing,
    DaemonWish,
    EntryKind,
    Hold,
    ImportStatus,
    LeadStatus,
    Outcome,
    PhoneStatus,
    Role,
    ScheduleStatus,
    Scope,
)
from scheduler.store.texts import cut, cut_bytes, storable

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


CHARSET = "utf8mb4"
EXACT = "utf8mb4_bin"
"""What a program compares: ids, codes, numbers, words, hashes, keys. Two that differ in a case or an accent are two."""
FOR_PEOPLE = "utf8mb4_unicode_ci"
"""What people write and look for: `sepulveda` finds Sepúlveda. MySQL and MariaDB of every age have both."""


class String(TypeDecorator[str]):
    """Text that a program compares. It hides Core's own type, so that no column here depends on the server's
    character set, or on a collation under which two ids of a vendor are one.
    """

    impl = CoreString
    cache_ok = True
    collation = EXACT

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(self._on_mysql())
        return dialect.type_descriptor(self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return self.fit(value) if isinstance(value, str) else value

    def fit(self, value: str) -> str:
        """The text as it can be stored."""
        return storable(value)

    def _on_mysql(self) -> TypeEngine[Any]:
        return mysql.VARCHAR(self.length, charset=CHARSET, collation=self.collation)


class Prose(String):
    """A sentence, a name, an address of people. One that is too long is cut, never an error."""

    cache_ok = True
    collation = FOR_PEOPLE

    def fit(self, value: str) -> str:
        return cut(value, self.length or 255) or ""


class LongProse(String):
    """What may fill a page. MySQL's TEXT holds 64 kB, which is not counted in characters."""

    impl = Text
    cache_ok = True
    collation = FOR_PEOPLE

    def fit(self, value: str) -> str:
        return cut_bytes(storable(value))

    def _on_mysql(self) -> TypeEngine[Any]:
        return mysql.TEXT(charset=CHARSET, collation=self.collation)


class LongText(String):
    """What a program keeps as it was, up to 16 MB."""

    impl = Text
    cache_ok = True

    def _on_mysql(self) -> TypeEngine[Any]:
        return mysql.MEDIUMTEXT(charset=CHARSET, collation=self.collation)


class _TypedInstant(sqlite.DATETIME):
    """SQLite stores whatever text a person types; one that is no instant must not stop everybody's calls."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        def read(text: str | None) -> datetime | None:
            if text is None:
                return None
            try:
                return datetime.fromisoformat(text)
            except (TypeError, ValueError):
                return UNREADABLE

        return read


class TypedDate(TypeDecorator[date]):
    """A date that a person may have typed: what is none (any text on SQLite, 0000-00-00 on MySQL) stops nobody.

    The processor is replaced, not the type below: the drivers' own would raise before anybody could ask.
    """

    impl = Date
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        def read(value: Any) -> date | None:
            if value is None or isinstance(value, date):
                return value
            try:
                return date.fromisoformat(str(value)[:10])
            except ValueError:
                return UNREADABLE.date()

        return read


class TypedMoney(TypeDecorator[Decimal]):
    """An amount that a person may have typed: what is none (SQLite takes any text) is read as NaN."""

    impl = Numeric
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        def read(value: Any) -> Decimal | None:
            if value is None:
                return None
            try:
                # SQLite computes in binary: what it gives back is the nearest to a decimal of four places.
                return value if isinstance(value, Decimal) else round(Decimal(str(value)), 4)
            except InvalidOperation:
                return Decimal("NaN")

        return read


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: aware in, stored in UTC to the microsecond, aware UTC out. Naive values are refused.

    `TIMESTAMP(6)` on MySQL and MariaDB, so that an operator's `NOW()` is right in whatever time zone
    their session has. Without the six digits MySQL would round up and MariaDB cut.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.TIMESTAMP(fsp=6))
        return dialect.type_descriptor(_TypedInstant())  # type: ignore[no-untyped-call]

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone, so it names no instant")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value == UNREADABLE:
            return UNREADABLE
        # SQLite keeps what a person typed: it may carry an offset of its own.
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _enum(*values: str, name: str) -> TypeEngine[Any]:
    """One of these words. They are compared as they stand, wherever the server would fold case and accents."""
    kept = Enum(*values, name=name, native_enum=True, create_constraint=True, validate_strings=True)
    return kept.with_variant(mysql.ENUM(*values, name=name, charset=CHARSET, collation=EXACT), "mysql", "mariadb")


def _words(kind: type[Any], name: str) -> TypeEngine[Any]:
    return _enum(*[member.value for member in kind], name=name)


def _id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


class PresentInstant(ColumnElement[datetime]):
    """The present instant as a column default, with `ON UPDATE` for `updated` columns where it exists."""

    inherit_cache = False

    def __init__(self, *, on_update: bool = False) -> None:
        self.on_update = on_update


@compiles(PresentInstant)
def _on_sqlite(element: PresentInstant, compiler: Any, **kw: Any) -> str:
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now'))"


@compiles(PresentInstant, "mysql", "mariadb")
def _on_mysql(element: PresentInstant, compiler: Any, **kw: Any) -> str:
    return "CURRENT_TIMESTAMP(6)" + (" ON UPDATE CURRENT_TIMESTAMP(6)" if element.on_update else "")


def _instant(name: str) -> Column[datetime]:
    return Column(name, UTCDateTime, nullable=True)


def _created(name: str = "created_at") -> Column[datetime]:
    return Column(name, UTCDateTime, nullable=False, server_default=PresentInstant())


def _updated() -> Column[datetime]:
    return Column("updated_at", UTCDateTime, nullable=False, server_default=PresentInstant(on_update=True))


BIG = BigInteger().with_variant(Integer, "sqlite")
PHONE = String(32)
MONEY = TypedMoney(14, 4)

scheduler_config = Table(
    "scheduler_config",
    metadata,
    Column("config_key", String(64), primary_key=True),
    Column("config_value", String(255), nullable=False),
    Column("description", Prose(255)),
    _updated(),
)

accounts = Table(
    "accounts",
    metadata,
    _id(),
    Column("code", String(64), nullable=False),
    Column("name", Prose(255), nullable=False),
    Column("status", _enum("active", "closed", name="account_status"),
           nullable=False, server_default="active"),
    Column("billing_type", _enum("unlimited", "minutes", "credits", name="billing_type"),
           nullable=False, server_default="unlimited"),
    Column("balance", MONEY, nullable=False, server_default=text("0")),
    _created(),
    Column("max_concurrent_calls", Integer),
    Column("price_per_minute", MONEY),
    Column("reserve_per_call", MONEY),
    Column("low_balance", MONEY),
    UniqueConstraint("code"),
)

account_entries = Table(
    "account_entries",
    metadata,
    _id(),
    Column("account_id", BIG, nullable=False),
    Column("attempt_id", BIG),
    Column("kind", _words(EntryKind, "entry_kind"), nullable=False),
    Column("amount", MONEY, nullable=False),
    Column("note", Prose(255)),
    Column("actor", String(96), nullable=False),
    _created("at"),
    Index("ix_account_entries_account", "account_id", "id"),
    Index("ix_account_entries_attempt", "attempt_id"),
)

campaigns = Table(
    "campaigns",
    metadata,
    _id(),
    Column("code", String(64), nullable=False),
    Column("account_id", BIG),
    Column("name", Prose(255), nullable=False),
    Column("description", LongProse),
    Column("status", _words(CampaignStatus, "campaign_status"), nullable=False, server_default="active"),
    Column("status_reason", Prose(255)),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("provider", String(32)),
    Column("dial_mode", String(32), nullable=False, server_default="agentless"),
    Column("call_settings", JSON(none_as_null=True)),
    _instant("started_at"),
    _instant("completed_at"),
    _created(),
    Column("fecha_limite", TypedDate),
    Column("group_name", String(64)),
    UniqueConstraint("code"),
    Index("ix_campaigns_status", "status"),
    Index("ix_campaigns_account", "account_id"),
    Index("ix_campaigns_group", "group_name"),
)

imports = Table(
    "imports",
    metadata,
    _id(),
    Column("campaign_id", BIG),
    Column("file_name", Prose(255), nullable=False),
    Column("file_sha256", String(64)),
    Column("status", _words(ImportStatus, "import_status"), nullable=False, server_default="running"),
    Column("rows_read", Integer, nullable=False, server_default=text("0")),
    Column("added", Integer, nullable=False, server_default=text("0")),
    Column("duplicates", Integer, nullable=False, server_default=text("0")),
    Column("rejected", Integer, nullable=False, server_default=text("0")),
    Column("taken_back", Integer, nullable=False, server_default=text("0")),
    Column("actor", String(96), nullable=False, server_default="cli"),
    Column("details", JSON(none_as_null=True)),
    _created(),
    _instant("finished_at"),
    _instant("undone_at"),
    Index("ix_imports_campaign", "campaign_id", "id"),
)

leads = Table(
    "leads",
    metadata,
    _id(),
    Column("campaign_id", BIG),
    Column("nombre", Prose(255)),
    Column("apellidos", Prose(255)),
    Column("telefono", PHONE),
    Column("email", Prose(255)),
    Column("lead_status", _words(LeadStatus, "lead_status"), nullable=True, server_default="open"),
    Column("closed_reason", String(64)),
    Column("manual_management", Boolean(create_constraint=False), nullable=True, server_default=false()),
    Column("call_status", _words(CallStatus, "call_status"), nullable=True, server_default="no_selected"),
    Column("call_attempts_count", Integer, nullable=False, server_default=text("0")),
    _instant("closed_at"),
    Column("time_zone", String(64)),
    Column("region", String(16)),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("variables", JSON(none_as_null=True)),
    Column("fecha_limite", TypedDate),
    _instant("appointment_at"),
    _created(),
    _updated(),
    Column("import_id", BIG),
    Column("was_called", SmallInteger, Computed("call_attempts_count > 0", persisted=False)),
    # Upkeep asks: which leads were closed (or opened again) by hand and not yet seen? Those whose
    # status and `closed_at` do not agree.
    Index("ix_leads_closed", "lead_status", "closed_at"),
    Index("ix_leads_phone", "telefono"),
    # The most urgent leads of a campaign, and all of them.
    Index("ix_leads_priority", "campaign_id", "priority"),
    Index("ix_leads_import", "import_id"),
    # The leads of a campaign page by page, newest first.
    Index("ix_leads_campaign", "campaign_id"),
    # Figures are counted in this one alone. With `was_called` it changes once in the life of a lead; with the number
    # of its calls it would change at each of them.
    Index("ix_leads_counted", "campaign_id", "lead_status", "closed_reason", "was_called"),
    # What was created today, and in which hour.
    Index("ix_leads_created", "created_at", "campaign_id"),
    sqlite_autoincrement=True,  # ids are never used again: history points at them
)

lead_phones = Table(
    "lead_phones",
    metadata,
    Column("lead_id", BIG, primary_key=True, autoincrement=False),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("telefono", PHONE, nullable=False),
    Column("status", _words(PhoneStatus, "phone_status"), nullable=False, server_default="active"),
    # What follows from the number alone, learnt once. `e164` is the number that it was learnt of: where a person
    # wrote another one since, it counts for nothing.
    Column("e164", String(16)),
    # For whoever looks for a number in another spelling; an index comes with the first question of the program.
    Column("number_key", String(8), comment="the last digits, which no spelling changes"),
    Column("traits_id", BIG),
    Index("ix_lead_phones_phone", "telefono"),
)

number_traits = Table(
    "number_traits",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False, comment="follows from what the row says"),
    Column("data_version", String(16), nullable=False),
    Column("country", String(2)),
    Column("line", String(24), nullable=False),
    Column("zones", String(2000), nullable=False),
)

call_schedule = Table(
    "call_schedule",
    metadata,
    _id(),
    Column("lead_id", BIG, nullable=False),
    Column("campaign_id", BIG),
    Column("scheduled_at", UTCDateTime, nullable=False, server_default=PresentInstant()),
    Column("wanted_at", UTCDateTime, nullable=True,
           comment="when it was wished, where hours or a hold moved scheduled_at"),
    Column("attempt_number", Integer, nullable=False, server_default=text("1")),
    Column("phone_position", SmallInteger),
    Column("status", _words(ScheduleStatus, "schedule_status"), nullable=False, server_default="pending"),
    Column("last_outcome", _words(Outcome, "last_outcome")),
    Column("reason", Prose(255)),
    Column("promise", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("hold", _words(Hold, "schedule_hold"), comment="waits for people, not for the clock"),
    Column("lease_owner", String(96)),
    Column("lease_token", String(36)),
    _instant("lease_expires_at"),
    _created(),
    _updated(),
    Column("open_lead_id", BIG,
           Computed("CASE WHEN status IN ('pending','in_progress') THEN lead_id END", persisted=False)),
    UniqueConstraint("open_lead_id", name="uq_call_schedule_open_lead"),
    # The claim walks this index in order and stops at its limit: rows of other campaigns, of other
    # states or not yet due are never read, and so never locked.
    Index("ix_call_schedule_due", "status", "campaign_id", "scheduled_at", "id"),
    # By the lead alone: with the status in it, each step of a row would change it.
    Index("ix_call_schedule_lead", "lead_id"),
    Index("ix_call_schedule_held", "hold"),
    sqlite_autoincrement=True,  # ids are never used again: history points at them
)

_OPEN_MARK = "CASE WHEN state IN ('placing','live','unknown') THEN 1 END"

call_attempts = Table(
    "call_attempts",
    metadata,
    _id(),
    Column("attempt_ref", String(36), nullable=False),
    Column("schedule_id", BIG),
    Column("lead_id", BIG, nullable=False),
    Column("campaign_id", BIG),
    Column("attempt_number", Integer, nullable=False),
    Column("telefono", PHONE, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("provider_call_id", String(128)),
    Column("state", _words(AttemptState, "attempt_state"), nullable=False),
    Column("outcome", _words(Outcome, "outcome")),
    Column("provider_status", String(128)),
    _instant("placed_at"),
    _instant("answered_at"),
    _instant("ended_at"),
    _instant("next_poll_at"),
    Column("lookups", SmallInteger, nullable=False, server_default=text("0")),
    Column("talk_seconds", Integer),
    Column("cost", MONEY),
    Column("cost_unit", String(16)),
    Column("summary", LongProse),
    _instant("appointment_at"),
    Column("details", JSON(none_as_null=True)),
    Column("error", Prose(255)),
    _instant("claimed_at"),
    _instant("dial_before"),
    _instant("open_from"),
    _instant("open_until"),
    _instant("not_again_before"),
    Column("open_mark", SmallInteger, Computed(_OPEN_MARK, persisted=False)),
    Column("account_id", BIG),
    Column("reserved", MONEY),
    Column("debt", String(64)),
    Column("subject", String(64)),
    Column("claimed_by", String(96), comment="the daemon that dialed it"),
    Column("rule_version", String(64), comment="rule_versions.fingerprint of the rules that let it through"),
    UniqueConstraint("attempt_ref"),
    UniqueConstraint("provider", "provider_call_id"),
    # One open attempt per phone across all campaigns, one per schedule row. The mark is NULL once the
    # attempt is over, and NULLs never collide; so these two also serve as the history of each.
    UniqueConstraint("telefono", "open_mark", name="uq_call_attempts_open_phone"),
    UniqueConstraint("schedule_id", "open_mark", name="uq_call_attempts_open_schedule"),
    # Whom to ask about, and how many are open. What follows `next_poll_at` is for figures: calls that are over have
    # none there, nearly always, so those of a campaign lie together.
    Index("ix_call_attempts_poll", "state", "next_poll_at", "campaign_id", "placed_at", "outcome", "talk_seconds",
          "cost"),
    Index("ix_call_attempts_lead", "lead_id"),
    # The last calls of a campaign (whose turn is it, caps by campaign), and those about one debt.
    Index("ix_call_attempts_campaign", "campaign_id", "claimed_at"),
    Index("ix_call_attempts_debt", "debt"),
    sqlite_autoincrement=True,  # ids are never used again: history points at them
)

second_calls = Table(
    "second_calls",
    metadata,
    _id(),
    Column("provider", String(32), nullable=False),
    Column("provider_call_id", String(128), nullable=False),
    Column("attempt_id", BIG, nullable=False, comment="of the request that it was made for"),
    Column("outcome", String(16)),
    Column("provider_status", String(128)),
    Column("talk_seconds", Integer),
    Column("cost", MONEY),
    Column("cost_unit", String(16)),
    Column("charged", MONEY, nullable=False, server_default=text("0")),
    _created("seen_at"),
    _instant("ended_at"),
    _instant("next_poll_at"),
    Column("lookups", SmallInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("provider", "provider_call_id"),
    Index("ix_second_calls_poll", "next_poll_at"),
    Index("ix_second_calls_attempt", "attempt_id"),
)

do_not_call = Table(
    "do_not_call",
    metadata,
    _id(),
    Column("telefono", PHONE, nullable=False),
    Column("reason", Prose(255)),
    Column("source", Prose(64)),
    _created(),
    _instant("expires_at"),
    UniqueConstraint("telefono"),
)

events = Table(
    "events",
    metadata,
    _id(),
    _created("at"),
    Column("kind", String(64), nullable=False),
    Column("actor", String(96), nullable=False),
    Column("lead_id", BIG),
    Column("campaign_id", BIG),
    Column("schedule_id", BIG),
    Column("attempt_id", BIG),
    Column("reason", Prose(255)),
    Column("details", JSON(none_as_null=True)),
    Column("rule_version", String(64)),
    Index("ix_events_lead", "lead_id"),
    # The audit page by page: of one campaign, and what people did among what the machine noted.
    Index("ix_events_campaign", "campaign_id"),
    Index("ix_events_kind", "kind"),
)

provider_events = Table(
    "provider_events",
    metadata,
    _id(),
    Column("provider", String(32), nullable=False),
    Column("event_key", String(191), nullable=False),
    Column("kind", String(64)),
    Column("attempt_ref", String(36)),
    Column("provider_call_id", String(128)),
    Column("payload", JSON(none_as_null=True)),
    _created("received_at"),
    _instant("processed_at"),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    _instant("next_try_at"),
    Column("result", Prose(255)),
    UniqueConstraint("provider", "event_key"),
    Index("ix_provider_events_waiting", "processed_at", "next_try_at", "id"),
)

daemons = Table(
    "daemons",
    metadata,
    _id(),
    Column("owner", String(96), nullable=False),
    Column("host", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("status", _enum("running", "stopping", "stopped", name="daemon_status"),
           nullable=False, server_default="running"),
    Column("provider", String(32)),
    Column("version", String(32)),
    Column("ticks", BIG, nullable=False, server_default=text("0")),
    _created("started_at"),
    _created("last_seen_at"),
    Column("wanted", _words(DaemonWish, "daemon_wanted"), nullable=False, server_default="run"),
    Column("doing", _words(DaemonDoing, "daemon_doing"), nullable=False, server_default="working"),
    Column("vitals", JSON(none_as_null=True), comment="what it measured of itself, for /metrics"),
    UniqueConstraint("owner"),
)

provider_pace = Table(
    "provider_pace",
    metadata,
    Column("provider", String(32), primary_key=True),
    Column("next_at", UTCDateTime, nullable=False, server_default=PresentInstant()),
    Column("faults", Integer, nullable=False, server_default=text("0")),
    Column("rest_seconds", Double),
    _instant("open_until"),
    Column("pace", Integer),
    Column("rate", Double),
    _instant("throttled_at"),
    Column("reason", Prose(255)),
    _instant("changed_at"),
)

rule_versions = Table(
    "rule_versions",
    metadata,
    _id(),
    Column("campaign_id", BIG, comment="NULL: scheduler_config"),
    Column("fingerprint", String(64), nullable=False),
    Column("settings", JSON(none_as_null=True)),
    _created("first_seen_at"),
    _instant("replanned_at"),
    Index("ix_rule_versions_campaign", "campaign_id", "id"),
    Index("ix_rule_versions_fingerprint", "fingerprint"),
)

# --- who may ask ---------------------------------------------------------------------------------

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    Column("name", String(64), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scope", _words(Scope, "key_scope"), nullable=False, server_default="read"),
    Column("account_id", BIG),
    _created(),
    _instant("expires_at"),
    _instant("revoked_at"),
    _instant("last_used_at"),
    UniqueConstraint("prefix"),
)

users = Table(
    "users",
    metadata,
    _id(),
    Column("name", String(64), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("role", _words(Role, "user_role"), nullable=False, server_default="viewer"),
    _created(),
    _instant("last_login_at"),
    UniqueConstraint("name"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    Column("token_sha256", String(64), nullable=False),
    Column("user_id", BIG, nullable=False),
    _created(),
    _instant("last_seen_at"),
    Column("expires_at", UTCDateTime, nullable=False, server_default=PresentInstant()),
    UniqueConstraint("token_sha256"),
    Index("ix_sessions_user", "user_id"),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("who", String(128), primary_key=True, comment="a user's name, or where the request came from"),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    _created("last_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _id(),
    Column("caller", String(96), nullable=False),
    Column("idempotency_key", String(191), nullable=False),
    Column("request_sha256", String(64), nullable=False),
    Column("answer_status", SmallInteger),
    Column("answer", LongText),
    _created(),
    UniqueConstraint("caller", "idempotency_key"),
    Index("ix_idempotency_keys_created", "created_at"),
)
