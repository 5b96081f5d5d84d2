"""Codes that change with the time, by the vectors of RFC 6238 (appendix B, SHA-1)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from scheduler.service.second_factor import (
    code_at,
    find_step,
    hash_recovery,
    link_of,
    make_recovery_codes,
    make_secret,
    without_code,
)

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(("seconds", "code"), [
    (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
    (2000000000, "69279037"), (20000000000, "65353130"),
])  # fmt: skip
def test_codes_are_those_of_the_standard(seconds, code):
    assert code_at(SECRET, seconds // 30, digits=8) == code
    now = datetime.fromtimestamp(seconds, UTC)
    assert find_step(SECRET, f" {code[2:5]} {code[5:]}", now, None) == seconds // 30


def test_a_clock_may_be_one_step_off_and_a_code_is_good_once():
    now = datetime.fromtimestamp(3000, UTC)
    assert [find_step(SECRET, code_at(SECRET, step), now, None) for step in (98, 99, 100, 101, 102)] == [
        None, 99, 100, 101, None,
    ]  # fmt: skip
    assert find_step(SECRET, code_at(SECRET, 100), now, 100) is None
    assert find_step(SECRET, code_at(SECRET, 99), now, 100) is None
    assert find_step(SECRET, code_at(SECRET, 101), now, 100) == 101
    for odd in ("", "12345", "1234567", "ñ23456", "\ud800"):
        assert find_step(SECRET, odd, now, None) is None


def test_secrets_are_long_and_a_code_for_the_loss_is_used_up():
    assert len(base64.b32decode(make_secret())) == 20
    assert link_of("ABC", "ana gómez") == "otpauth://totp/Ringback:ana%20g%C3%B3mez?secret=ABC&issuer=Ringback"
    codes = make_recovery_codes()
    hashes = [hash_recovery(one) for one in codes]
    left = without_code(hashes, f" {codes[3].upper()} ")
    assert left == [*hashes[:3], *hashes[4:]]
    assert without_code(left, codes[3]) is None
