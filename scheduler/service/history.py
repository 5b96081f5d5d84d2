"""Earlier calls of the leads at hand, read once for a batch and kept up to date within its transaction.

Only leads whose rules have caps or cool-downs cost anything. What must stay true: whoever writes an intent
reads these in the same transaction, after the lock that makes takes follow one another; and a call chosen or
ended in this transaction counts for those judged after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from scheduler.model import Lead
from scheduler.rules.caps import PastCall, longest_memory, words_counted
from scheduler.rules.eligibility import phones_of, target_of, variable_of
from scheduler.rules.policy import Policy
from scheduler.store.database import Connection
from scheduler.store.history import list_group, read_campaign_calls, read_past_calls

PERSONAL = {"lead", "phone", "debt"}
"""Keys by which a call is found through the lead at hand; the others are found through its campaign."""
IN_PROGRESS_AT_MOST = 1000
ALL = 10_000_000


class History:
    """Past calls by attempt; those of this transaction have keys of their own."""

    def __init__(self) -> None:
        self._calls: dict[object, PastCall] = {}
        self._keys: dict[tuple[str, object], list[object]] = {}

    @classmethod
    def read(
        cls, connection: Connection, now: datetime, leads: Iterable[Lead], policies: Mapping[int | None, Policy]
    ) -> History:
        """What caps of these leads' campaigns may count."""
        made = cls()
        capped = [
            (lead, policy) for lead in leads
            if (policy := policies.get(lead.campaign_id) or policies[None]).is_capped
        ]
        if not capped:
            return made
        used = {policy.campaign_id: policy for _, policy in capped}
        memory = max(longest_memory(policy.caps, policy.cooldowns) for policy in used.values())
        made._put(read_past_calls(
            connection,
            lead_ids={lead.id for lead, _ in capped},
            numbers={phone.number for lead, _ in capped for phone in phones_of(lead)},
            debts={debt for lead, _ in capped if (debt := variable_of(lead, "debt", "deuda")) is not None},
            since=now - memory,
        ))
        for policy in used.values():
            made._read_campaign(connection, policy, now)
        return made

    def of(self, lead: Lead, policy: Policy) -> Sequence[PastCall]:
        """Calls that may bear on this lead: more than its caps count, never fewer."""
        if not policy.is_capped:
            return ()
        target = target_of(lead, None, policy)
        keys: list[tuple[str, object]] = [("lead", lead.id), ("group", target.group), ("campaign", target.campaign)]
        keys += [("phone", phone.number) for phone in phones_of(lead)]
        if target.debt is not None:
            keys.append(("debt", target.debt))
        found = dict.fromkeys(one for key in keys for one in self._keys.get(key, ()))
        return [self._calls[one] for one in found]

    def add(self, lead: Lead, number: str, policy: Policy, now: datetime) -> None:
        """A call to this lead was chosen: it counts for the ones judged after it."""
        target = target_of(lead, number, policy)
        self._put({("chosen", lead.id, number): PastCall(
            at=now, lead=target.lead, phone=target.phone, debt=target.debt, campaign=target.campaign,
            subject=target.subject, line=target.line, group=target.group,
        )})

    def end(self, attempt_id: int, outcome: str, ended_at: datetime) -> None:
        """An attempt ends in this transaction, in which the table may still have it open."""
        if (call := self._calls.get(attempt_id)) is not None:
            self._calls[attempt_id] = replace(call, outcome=outcome, ended_at=ended_at)

    def _read_campaign(self, connection: Connection, policy: Policy, now: datetime) -> None:
        """Caps that count the calls of a campaign, or of a group of them, whomever they reached."""
        caps = [cap for cap in policy.caps if not PERSONAL & set(cap.by)]
        quiet = [one for one in policy.cooldowns if not PERSONAL & set(one.by)]
        for by, counts, most, memory in [
            *((cap.by, cap.counts, cap.max, longest_memory([cap], [])) for cap in caps),
            *((one.by, one.after, 1, longest_memory([], [one])) for one in quiet),
        ]:
            self._put(read_campaign_calls(
                connection, _campaigns_counted(connection, by, policy), outcomes=words_counted(counts),
                since=now - memory - timedelta(days=1),
                # The newest are enough where the campaign alone counts; beside a subject or a line they may be others'.
                limit=most + IN_PROGRESS_AT_MOST if set(by) <= {"campaign", "group"} else ALL,
            ))

    def _put(self, calls: Mapping[Any, PastCall]) -> None:
        for key, call in calls.items():
            if key in self._calls:
                continue
            self._calls[key] = call
            for name in ("lead", "phone", "debt", "campaign", "group"):
                if (value := getattr(call, name)) is not None:
                    self._keys.setdefault((name, value), []).append(key)


def _campaigns_counted(connection: Connection, by: Collection[str], policy: Policy) -> Sequence[int | None]:
    if "group" in by and policy.group:
        return list_group(connection, policy.group)
    return [policy.campaign_id]
