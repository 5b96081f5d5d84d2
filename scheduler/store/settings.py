"""`scheduler_config` and the versions of the rules that were seen in force."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from scheduler.store.tables import rule_versions, scheduler_config

G, V = scheduler_config.c, rule_versions.c


def read_config_rows(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(G.config_key, G.config_value))
    return {row.config_key: row.config_value or "" for row in rows}


def write_config(connection: Connection, key: str, value: str, now: datetime) -> None:
    """Set one row; a key without a row gets one."""
    changed = connection.execute(
        update(scheduler_config).where(G.config_key == key).values(config_value=value, updated_at=now)
    )
    if changed.rowcount == 0:
        connection.execute(insert(scheduler_config).values(config_key=key, config_value=value))


def find_last_version(
    connection: Connection, campaign_id: int | None, *, followed: bool = False
) -> tuple[str, Mapping[str, Any]] | None:
    """(fingerprint, document) that were last seen in force, for a campaign or (None) for everybody.

    `followed`: the last by which waiting calls were planned again.
    """
    row = connection.execute(
        select(V.fingerprint, V.settings)
        .where(_of(campaign_id), *([V.replanned_at.is_not(None)] if followed else []))
        .order_by(V.id.desc())
        .limit(1)
    ).first()
    return (row.fingerprint, row.settings or {}) if row else None


def read_last_fingerprints(connection: Connection) -> dict[int | None, str]:
    """The last fingerprint of every campaign, and under None of everybody, by which waiting calls were planned."""
    last = select(func.max(V.id)).where(V.replanned_at.is_not(None)).group_by(V.campaign_id)
    rows = connection.execute(select(V.campaign_id, V.fingerprint).where(V.id.in_(list(connection.scalars(last)))))
    return {row.campaign_id: row.fingerprint for row in rows}


def is_version_known(connection: Connection, campaign_id: int | None, fingerprint: str) -> bool:
    return connection.execute(
        select(V.id).where(V.fingerprint == fingerprint, _of(campaign_id)).limit(1)
    ).first() is not None


def add_version(
    connection: Connection, campaign_id: int | None, fingerprint: str, document: Mapping[str, Any], now: datetime, *,
    followed: bool = False,
) -> None:
    """Write down rules that are in force. `followed`: waiting calls were planned again by them."""
    connection.execute(insert(rule_versions).values(
        campaign_id=campaign_id, fingerprint=fingerprint, settings=dict(document), first_seen_at=now,
        replanned_at=now if followed else None,
    ))


def _of(campaign_id: int | None) -> ColumnElement[bool]:
    return V.campaign_id.is_(None) if campaign_id is None else V.campaign_id == campaign_id
