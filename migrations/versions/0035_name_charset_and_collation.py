"""Every text column names its character set and its collation, whatever the server's defaults are.

Binary where a program compares (ids, codes, numbers, words, hashes, keys), by the alphabet where people look for
names. Tables that were made in latin1 or utf8mb3 hold every character afterwards, and ids that a server folded into
one (`Kx7aB` and `Kx7Ab`) are two. What differed before still differs, save for spaces at the end, which MySQL's newer
collations count and binary ones do not: of two such entries of the do-not-call list one is left, whichever bars
longer; two such codes, names or keys that people chose are named before anything is changed.

A table is rewritten once, in one statement that happens or does not; cut off and run again, the tables that are right
already are passed by. Five million leads take some minutes, in which their table can be read but not written.

The previous release still runs on the result. SQLite compares bytes anyway.

Revision ID: 0035
"""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

EXACT, PROSE = "utf8mb4_bin", "utf8mb4_unicode_ci"
MARKS = {"{exact}": EXACT, "{prose}": PROSE}
COLUMNS = {
    "alembic_version": (
        "version_num VARCHAR(32) {exact} NOT NULL",
    ),
    "account_entries": (
        "kind ENUM('opening', 'top_up', 'reserve', 'release', 'charge', 'adjust') {exact} NOT NULL",
        "note VARCHAR(255) {prose}",
        "actor VARCHAR(96) {exact} NOT NULL",
    ),
    "accounts": (
        "code VARCHAR(64) {exact} NOT NULL",
        "name VARCHAR(255) {prose} NOT NULL",
        "status ENUM('active', 'closed') {exact} NOT NULL DEFAULT 'active'",
        "billing_type ENUM('unlimited', 'minutes', 'credits') {exact} NOT NULL DEFAULT 'unlimited'",
    ),
    "api_keys": (
        "name VARCHAR(64) {exact} NOT NULL",
        "prefix VARCHAR(16) {exact} NOT NULL",
        "secret_sha256 VARCHAR(64) {exact} NOT NULL",
        "scope ENUM('read', 'operate', 'admin') {exact} NOT NULL DEFAULT 'read'",
    ),
    "call_attempts": (
        "attempt_ref VARCHAR(36) {exact} NOT NULL",
        "telefono VARCHAR(32) {exact} NOT NULL",
        "provider VARCHAR(32) {exact} NOT NULL",
        "provider_call_id VARCHAR(128) {exact}",
        "state ENUM('placing', 'live', 'unknown', 'ended', 'refused') {exact} NOT NULL",
        (
            "outcome ENUM('completed', 'callback', 'no_answer', 'busy', 'hang_up', 'voicemail', 'failed', "
            "'invalid_number', 'do_not_call', 'cancelled') {exact}"
        ),
        "provider_status VARCHAR(128) {exact}",
        "cost_unit VARCHAR(16) {exact}",
        "summary TEXT {prose}",
        "error VARCHAR(255) {prose}",
        "debt VARCHAR(64) {exact}",
        "subject VARCHAR(64) {exact}",
    ),
    "call_schedule": (
        "status ENUM('pending', 'in_progress', 'completed', 'cancelled') {exact} NOT NULL DEFAULT 'pending'",
        (
            "last_outcome ENUM('completed', 'callback', 'no_answer', 'busy', 'hang_up', 'voicemail', 'failed', "
            "'invalid_number', 'do_not_call', 'cancelled') {exact}"
        ),
        "reason VARCHAR(255) {prose}",
        "hold ENUM('manual', 'suspended', 'never', 'error') {exact} COMMENT 'waits for people, not for the clock'",
        "lease_owner VARCHAR(96) {exact}",
        "lease_token VARCHAR(36) {exact}",
    ),
    "campaigns": (
        "code VARCHAR(64) {exact} NOT NULL",
        "name VARCHAR(255) {prose} NOT NULL",
        "description TEXT {prose}",
        "status ENUM('active', 'paused', 'cancelled', 'completed') {exact} NOT NULL DEFAULT 'active'",
        "status_reason VARCHAR(255) {prose}",
        "provider VARCHAR(32) {exact}",
        "dial_mode VARCHAR(32) {exact} NOT NULL DEFAULT 'agentless'",
        "group_name VARCHAR(64) {exact}",
    ),
    "daemons": (
        "owner VARCHAR(96) {exact} NOT NULL",
        "host VARCHAR(64) {exact} NOT NULL",
        "status ENUM('running', 'stopping', 'stopped') {exact} NOT NULL DEFAULT 'running'",
        "provider VARCHAR(32) {exact}",
        "version VARCHAR(32) {exact}",
        "wanted ENUM('run', 'pause', 'drain') {exact} NOT NULL DEFAULT 'run'",
        "doing ENUM('working', 'paused', 'draining') {exact} NOT NULL DEFAULT 'working'",
    ),
    "do_not_call": (
        "telefono VARCHAR(32) {exact} NOT NULL",
        "reason VARCHAR(255) {prose}",
        "source VARCHAR(64) {prose}",
    ),
    "events": (
        "kind VARCHAR(64) {exact} NOT NULL",
        "actor VARCHAR(96) {exact} NOT NULL",
        "reason VARCHAR(255) {prose}",
        "rule_version VARCHAR(64) {exact}",
    ),
    "idempotency_keys": (
        "caller VARCHAR(96) {exact} NOT NULL",
        "idempotency_key VARCHAR(191) {exact} NOT NULL",
        "request_sha256 VARCHAR(64) {exact} NOT NULL",
        "answer MEDIUMTEXT {exact}",
    ),
    "imports": (
        "file_name VARCHAR(255) {prose} NOT NULL",
        "file_sha256 VARCHAR(64) {exact}",
        "status ENUM('running', 'done', 'failed', 'undone') {exact} NOT NULL DEFAULT 'running'",
        "actor VARCHAR(96) {exact} NOT NULL DEFAULT 'cli'",
    ),
    "lead_phones": (
        "telefono VARCHAR(32) {exact} NOT NULL",
        "status ENUM('active', 'invalid') {exact} NOT NULL DEFAULT 'active'",
    ),
    "leads": (
        "nombre VARCHAR(255) {prose}",
        "apellidos VARCHAR(255) {prose}",
        "telefono VARCHAR(32) {exact}",
        "email VARCHAR(255) {prose}",
        "lead_status ENUM('open', 'closed', 'suspended') {exact} DEFAULT 'open'",
        "closed_reason VARCHAR(64) {exact}",
        (
            "call_status ENUM('no_selected', 'selected', 'calling', 'completed', 'error', 'busy', 'no_answer', "
            "'hang_up', 'voicemail') {exact} DEFAULT 'no_selected'"
        ),
        "time_zone VARCHAR(64) {exact}",
        "region VARCHAR(16) {exact}",
    ),
    "login_failures": (
        "who VARCHAR(128) {exact} NOT NULL COMMENT 'a user''s name, or where the request came from'",
    ),
    "provider_events": (
        "provider VARCHAR(32) {exact} NOT NULL",
        "event_key VARCHAR(191) {exact} NOT NULL",
        "kind VARCHAR(64) {exact}",
        "attempt_ref VARCHAR(36) {exact}",
        "provider_call_id VARCHAR(128) {exact}",
        "result VARCHAR(255) {prose}",
    ),
    "provider_pace": (
        "provider VARCHAR(32) {exact} NOT NULL",
        "reason VARCHAR(255) {prose}",
    ),
    "rule_versions": (
        "fingerprint VARCHAR(64) {exact} NOT NULL",
    ),
    "scheduler_config": (
        "config_key VARCHAR(64) {exact} NOT NULL",
        "config_value VARCHAR(255) {exact} NOT NULL",
        "description VARCHAR(255) {prose}",
    ),
    "sessions": (
        "token_sha256 VARCHAR(64) {exact} NOT NULL",
    ),
    "users": (
        "name VARCHAR(64) {exact} NOT NULL",
        "password_hash VARCHAR(255) {exact} NOT NULL",
        "role ENUM('viewer', 'operator', 'admin') {exact} NOT NULL DEFAULT 'viewer'",
    ),
}  # fmt: skip


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    say = context.config.attributes.get("say")
    for table, column in CHOSEN_BY_PEOPLE:
        _refuse_twins(table, column)
    _join_barred()
    for table, definitions in COLUMNS.items():
        wrong = list_wrong(table, definitions)
        if not wrong:
            continue
        if say and op.get_bind().scalar(sa.text(f"SELECT 1 FROM {table} LIMIT 1")):
            say(f"setting the character set of {table} ...")
        op.execute(f"ALTER TABLE {table} {', '.join(wrong)}, DEFAULT CHARACTER SET utf8mb4 COLLATE {EXACT}")


CHOSEN_BY_PEOPLE = (
    ("accounts", "code"), ("campaigns", "code"), ("scheduler_config", "config_key"), ("users", "name"),
    ("provider_pace", "provider"),
)
"""Text of unique keys that may have been typed by SQL."""


def _refuse_twins(table: str, column: str) -> None:
    """Two that differ in nothing but spaces at the end would be one."""
    twins = op.get_bind().execute(sa.text(
        f"SELECT MIN({column}) FROM {table} GROUP BY RTRIM({column}) HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 1"
    )).scalar()
    if twins is not None:
        raise CommandError(
            f"{table}.{column}: {twins.rstrip()!r} is there twice, once with a space at its end, and would be one; "
            "give one of them another, then run `ringback db upgrade` again"
        )


def _join_barred() -> None:
    """Entries of the do-not-call list that differ in spaces at the end: the one that bars longest stays."""
    rows = op.get_bind().execute(sa.text(
        "SELECT id, RTRIM(telefono), expires_at FROM do_not_call WHERE RTRIM(telefono) IN"
        " (SELECT number FROM (SELECT RTRIM(telefono) AS number FROM do_not_call"
        " GROUP BY RTRIM(telefono) HAVING COUNT(*) > 1) AS twins)"
    )).all()
    kept: dict[str, tuple[int, object]] = {}
    for row_id, number, expires_at in sorted(rows):
        known = kept.get(number)
        if known is None or (known[1] is not None and (expires_at is None or expires_at > known[1])):
            kept[number] = (row_id, expires_at)
    gone = {row_id for row_id, _, _ in rows} - {row_id for row_id, _ in kept.values()}
    for row_id in sorted(gone):
        op.execute(sa.text(f"DELETE FROM do_not_call WHERE id = {row_id}"))


def downgrade() -> None:
    """Nothing is lost by what is named, and what it was before nobody knows."""


def list_wrong(table: str, definitions: Iterable[str]) -> list[str]:
    """How each column is changed that is there and not yet as it should be."""
    rows = op.get_bind().execute(
        sa.text(
            "SELECT column_name AS name, collation_name AS collation FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = :name AND collation_name IS NOT NULL"
        ),
        {"name": table},
    )
    found = {row[0]: row[1] for row in rows}
    changes = []
    for definition in definitions:
        column = definition.partition(" ")[0]
        mark = next(one for one in MARKS if one in definition)
        if column in found and found[column] != MARKS[mark]:
            named = f"CHARACTER SET utf8mb4 COLLATE {MARKS[mark]}"
            changes.append(f"MODIFY COLUMN `{column}` {definition.partition(' ')[2].replace(mark, named)}")
    return changes
