"""Codes that change with the time (TOTP, RFC 6238), as any authenticator makes them, and codes for its loss.

Decided here: SHA-1, six digits, thirty seconds, and a clock that may be one step off, because that is what
authenticators take for granted. What must stay true: a code is good once; a code for the loss is stored as its hash,
and gone when it was used. The secret itself has to be stored as it is, to make the same codes from.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

STEP_SECONDS, DIGITS, DRIFT = 30, 6, 1
SECRET_BYTES = 20
RECOVERY_CODES = 10


def make_secret() -> str:
    """A new secret in base32, as people may type it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def link_of(secret: str, user: str) -> str:
    """What an authenticator reads, as a link or out of a picture of it."""
    return f"otpauth://totp/Ringback:{quote(user, safe='')}?secret={secret}&issuer=Ringback"


def code_at(secret: str, step: int, digits: int = DIGITS) -> str:
    """The code of a step of thirty seconds (RFC 4226, 5.3, with the step as the counter)."""
    digest = hmac.new(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}}"


def step_of(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def find_step(secret: str, written: str, now: datetime, last_step: int | None) -> int | None:
    """The step whose code was written, None for a wrong code or one that was used (of `last_step` or before it)."""
    digits = "".join(written.split()).encode("utf-8", "replace")
    found = None
    for step in range(step_of(now) - DRIFT, step_of(now) + DRIFT + 1):
        is_right = hmac.compare_digest(code_at(secret, step).encode(), digits)
        if is_right and (last_step is None or step > last_step):
            found = step
    return found


def make_recovery_codes() -> list[str]:
    return [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]


def hash_recovery(code: str) -> str:
    plain = "".join(code.split()).lower().replace("-", "")
    return hashlib.sha256(f"ringback recovery {plain}".encode("utf-8", "replace")).hexdigest()


def without_code(hashes: Sequence[str], written: str) -> list[str] | None:
    """The hashes that are left after this code for the loss was used; None where it is none."""
    known = hash_recovery(written)
    left = [one for one in hashes if not hmac.compare_digest(one, known)]
    return left if len(left) < len(hashes) else None
