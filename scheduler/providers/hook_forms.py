"""What the headers of a webhook must look like, before anybody reads its body.

Each form is public, and proves nothing: it keeps out what cannot be genuine, at the price of a regular expression.
It needs no key, so that a provider that is not set up here looks to strangers like one that is. What proves a webhook
is its adapter's affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from scheduler.providers.base import Hook, HookRefused

RETELL_SIGNATURE = re.compile(r"v=([0-9]{1,15}),d=([0-9a-f]{64})")
TWILIO_FORM = "application/x-www-form-urlencoded"
TWILIO_SIGNATURES: Mapping[str, re.Pattern[str]] = {
    "": re.compile(r"[A-Za-z0-9+/]{27}="),  # HMAC-SHA1 in base64
    "HMAC_SHA256": re.compile(r"[A-Za-z0-9+/]{43}="),
}
HTTP_SIGNATURE = re.compile(r"(?=.*\bt *= *[0-9]{1,12}\b)(?=.*\bv1 *= *[0-9a-fA-F]{64}\b)[ -~]{1,1024}")
SIGNATURE_AGE = timedelta(minutes=5)
"""How far the instant of a signature may be from now, at Retell and by our own contract."""


def require_form(provider: str, hook: Hook, now: datetime) -> None:
    """Raises HookRefused for what cannot be this provider's webhook. `hook` has no body yet."""
    check = FORMS.get(provider)
    if check is None:
        raise HookRefused(404, "this provider posts no events")
    check(hook, now)


def require_retell(hook: Hook, now: datetime) -> None:
    found = RETELL_SIGNATURE.fullmatch(hook.headers.get("x-retell-signature", ""))
    if found is None:
        raise HookRefused(401, "the x-retell-signature is missing or is none")
    if abs(now.timestamp() - int(found[1]) / 1000) > SIGNATURE_AGE.total_seconds():
        raise HookRefused(401, "the x-retell-signature is too old or too new")


def require_twilio(hook: Hook, now: datetime) -> None:
    word = re.search(r"HMAC_SHA256", hook.headers.get("x-twilio-webhooks-signature-settings", ""), re.IGNORECASE)
    form = TWILIO_SIGNATURES["HMAC_SHA256" if word else ""]
    if form.fullmatch(hook.headers.get("x-twilio-signature", "").strip()) is None:
        raise HookRefused(401, "the webhook has no signature that can be checked")
    kind = hook.headers.get("content-type", TWILIO_FORM).partition(";")[0].strip().lower()
    if kind != TWILIO_FORM and not _hashes_body(hook.url):
        raise HookRefused(401, "the webhook is no form, and its address has no hash of its body")


def require_http_dialer(hook: Hook, now: datetime) -> None:
    given = hook.headers.get("x-ringback-signature", "")
    if HTTP_SIGNATURE.fullmatch(given) is None:
        raise HookRefused(401, "X-Ringback-Signature is missing or cannot be read")
    at = re.search(r"\bt *= *([0-9]{1,12})\b", given)
    if at is None or abs(now.timestamp() - int(at[1])) > SIGNATURE_AGE.total_seconds():
        raise HookRefused(401, "the signature is too old, or the clocks differ by more than five minutes")


def require_secret(hook: Hook, now: datetime) -> None:
    """NLPearl signs nothing: a secret that was agreed upon is all, and none was."""
    raise HookRefused(401, "nothing in it proves that NLPearl sent it")


def _hashes_body(url: str) -> bool:
    try:
        return "bodySHA256" in parse_qs(urlsplit(url).query)
    except ValueError:
        return False


FORMS: Mapping[str, Callable[[Hook, datetime], None]] = {
    "retell": require_retell, "twilio": require_twilio, "http": require_http_dialer, "nlpearl": require_secret,
}
