"""What a caller can reach: everything, or what belongs to the account of their key.

What lies outside is answered as if it did not exist, so that ids of others tell nothing.
"""

from __future__ import annotations

from http import HTTPStatus

from scheduler.errors import NotFound
from scheduler.model import Account, Attempt, Campaign, Lead
from scheduler.rules.policy import PROVIDER_NAMES
from scheduler.service.runtime import Runtime
from scheduler.store import accounts, calls, campaigns, leads
from scheduler.store.database import Connection
from scheduler.web.access import Caller
from scheduler.web.problems import Refusal


def require_everything(caller: Caller) -> None:
    """For what concerns the whole installation. Raises Refusal (403)."""
    if caller.account_id is not None:
        raise Refusal(HTTPStatus.FORBIDDEN, "this concerns the whole installation; a key of one account cannot ask it")


def require_campaign(connection: Connection, caller: Caller, key: str | int) -> Campaign:
    """By code or id. Raises NotFound, for one of another account too."""
    found = campaigns.find_campaign(connection, key)
    if found is None or not _is_own(caller, found.account_id):
        raise NotFound("campaign", key)
    return found


def require_account(connection: Connection, caller: Caller, key: str | int) -> Account:
    """By code or id. Raises NotFound, for another one too."""
    found = accounts.find_account(connection, key)
    if found is None or not _is_own(caller, found.id):
        raise NotFound("account", key)
    return found


def require_lead(connection: Connection, caller: Caller, lead_id: int) -> Lead:
    found = leads.find_lead(connection, lead_id)
    if found is None or not _owns_campaign(connection, caller, found.campaign_id):
        raise NotFound("lead", lead_id)
    return found


def require_attempt(connection: Connection, caller: Caller, attempt_id: int) -> Attempt:
    found = calls.find_attempt(connection, attempt_id)
    if found is None or not _owns_campaign(connection, caller, found.campaign_id):
        raise NotFound("attempt", attempt_id)
    return found


def reached_campaign(runtime: Runtime, caller: Caller, key: str | int) -> Campaign:
    """`require_campaign` in a transaction of its own."""
    return runtime.database.read(lambda connection: require_campaign(connection, caller, key))


def reached_lead(runtime: Runtime, caller: Caller, lead_id: int) -> Lead:
    return runtime.database.read(lambda connection: require_lead(connection, caller, lead_id))


def reached_attempt(runtime: Runtime, caller: Caller, attempt_id: int) -> Attempt:
    return runtime.database.read(lambda connection: require_attempt(connection, caller, attempt_id))


def reached_call(runtime: Runtime, caller: Caller, key: str) -> int:
    """The id of an attempt by any of its names, if the caller may see it. Raises NotFound."""

    def find(connection: Connection) -> int:
        attempt_id = calls.find_attempt_id(connection, key, PROVIDER_NAMES)
        if attempt_id is None:
            raise NotFound("attempt", key)
        return require_attempt(connection, caller, attempt_id).id

    return runtime.database.read(find)


def _is_own(caller: Caller, account_id: int | None) -> bool:
    return caller.account_id is None or caller.account_id == account_id


def _owns_campaign(connection: Connection, caller: Caller, campaign_id: int | None) -> bool:
    if caller.account_id is None:
        return True
    if campaign_id is None:
        return False
    found = campaigns.read_campaigns(connection, [campaign_id]).get(campaign_id)
    return found is not None and _is_own(caller, found.account_id)
