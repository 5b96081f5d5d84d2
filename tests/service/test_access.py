"""Keys, users and log-ins: what is stored, what is refused, how long a guess waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from scheduler.clock import ManualClock
from scheduler.errors import Conflict, InvalidValue, NotFound
from scheduler.model import Scope
from scheduler.service import access, accounts
from scheduler.service.access import Admitted, Entrance, Known, Wait, WrongPassword
from scheduler.service.runtime import Runtime
from scheduler.store import tables
from scheduler.store.database import Database
from tests.conftest import NOON, sqlite_suffices
from tests.each import each
from tests.factories import events_of, find, find_all

PASSWORD = "three blind mice"
sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


# --- keys --------------------------------------------------------------------------------------------------------


def test_a_key_is_recognized_and_its_secret_is_stored_nowhere(runtime: Runtime, database: Database):
    made = access.create_key(" front-end ", scope="operate", runtime=runtime)
    found = Entrance(runtime).find_by_key(made.token)

    assert isinstance(found, Known)
    assert (found.name, found.scope, found.account_id) == ("front-end", Scope.OPERATE, None)
    row = find(database, tables.api_keys)
    secret = made.token.split("_", 2)[2]
    assert secret not in repr(row) + repr(find_all(database, tables.events))
    (event,) = events_of(database, "key_created")
    assert (event.actor, event.reason, event.details["scope"]) == ("cli", "front-end", "operate")


@sqlite_alone
@pytest.mark.parametrize("changed", ["prefix", "secret", "case", "garbage", ""])
def test_a_key_that_differs_anywhere_is_not_valid(runtime: Runtime, changed: str):
    token = access.create_key("front-end", runtime=runtime).token
    other = access.create_key("other", runtime=runtime).token
    shown = {
        "prefix": token[:16] + other[16:], "secret": token[:-1] + ("A" if token[-1] != "A" else "B"),
        "case": token.upper(), "garbage": "rb_ñ" * 500, "": "",
    }[changed]

    assert Entrance(runtime).find_by_key(shown) == "this API key is not valid"


def test_a_key_ends_when_it_is_revoked_or_its_days_are_over(runtime: Runtime, clock: ManualClock, database: Database):
    revoked, short = access.create_key("a", runtime=runtime), access.create_key("b", days=1, runtime=runtime)
    entrance = Entrance(runtime)
    assert access.revoke_key("a", reason="lost", runtime=runtime) == access.revoke_key("a", runtime=runtime) == "a"
    clock.advance(timedelta(days=1, seconds=-1))
    assert isinstance(entrance.find_by_key(short.token), Known)
    clock.advance(timedelta(seconds=1))

    assert entrance.find_by_key(revoked.token) == "this API key was revoked"
    assert entrance.find_by_key(short.token) == "this API key has expired"
    assert [event.details["why"] for event in events_of(database, "key_revoked")] == ["lost"]
    assert not entrance.is_open()


@sqlite_alone
def test_a_name_belongs_to_one_valid_key_and_a_revoked_one_may_be_named_by_its_prefix(runtime: Runtime):
    first = access.create_key("front-end", runtime=runtime)
    with pytest.raises(Conflict):
        access.create_key("front-end", runtime=runtime)
    access.revoke_key(first.prefix, runtime=runtime)
    second = access.create_key("front-end", runtime=runtime)

    assert access.revoke_key("front-end", runtime=runtime) == "front-end"
    assert Entrance(runtime).find_by_key(second.token) == "this API key was revoked"
    access.forget_key(str(first.id), runtime=runtime)
    assert not Entrance(runtime).is_open()
    access.forget_key(second.token, runtime=runtime)
    assert Entrance(runtime).is_open()
    with pytest.raises(NotFound):
        access.revoke_key("front-end", runtime=runtime)


@sqlite_alone
def test_a_valid_key_is_not_forgotten(runtime: Runtime):
    access.create_key("front-end", runtime=runtime)

    with pytest.raises(Conflict):
        access.forget_key("front-end", runtime=runtime)


@sqlite_alone
@pytest.mark.parametrize(
    "values, error",
    [
        ({"name": ""}, InvalidValue), ({"name": "x" * 65}, InvalidValue), ({"name": "a\x1b[31m"}, InvalidValue),
        ({"name": "17"}, InvalidValue), ({"scope": "root"}, InvalidValue), ({"days": 0}, InvalidValue),
        ({"account": "nobody"}, NotFound),
    ],
)  # fmt: skip
def test_a_key_that_cannot_be_made_leaves_access_open(runtime: Runtime, values: dict[str, Any], error: type[Exception]):
    with pytest.raises(error):
        access.create_key(**{"name": "front-end", **values}, runtime=runtime)

    assert Entrance(runtime).is_open()


@sqlite_alone
def test_an_admin_key_of_one_account_is_no_admin_to_listen_wider_with(runtime: Runtime, clock: ManualClock):
    code = accounts.create_account("Acme", runtime=runtime)
    access.create_key("acme", scope="admin", account=code, runtime=runtime)
    access.create_key("short", scope="admin", days=1, runtime=runtime)
    access.require_admin_beyond_loopback("0.0.0.0", runtime)
    clock.advance(timedelta(days=2))

    for host in ("0.0.0.0", "", "::", "192.0.2.1"):
        with pytest.raises(Conflict, match="make an admin first"):
            access.require_admin_beyond_loopback(host, runtime)
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    access.require_admin_beyond_loopback("::", runtime)


@each(
    "host, is_loopback",
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False),
        ("no such name.invalid", False),
    ],
)  # fmt: skip
def test_what_is_this_machine_alone(host: str, is_loopback: bool):
    assert access.is_loopback(host) is is_loopback


# --- users -------------------------------------------------------------------------------------------------------


@sqlite_alone
@pytest.mark.parametrize(
    "password", ["", "eleven char", "x" * 129, "ana maria lopez", "aaaabbbbaaaabbbb", "Password1234"]
)
def test_a_password_that_is_easy_to_guess_is_refused_and_not_repeated(runtime: Runtime, password: str):
    with pytest.raises(InvalidValue) as refused:
        access.add_user("Ana Maria Lopez", password, role="viewer", runtime=runtime)

    assert not password or password not in str(refused.value)
    assert Entrance(runtime).is_open()


def test_a_user_logs_in_by_any_spelling_of_the_name_and_the_password_is_hashed(runtime: Runtime, database: Database):
    assert access.add_user(" Ana ", PASSWORD, role="operator", runtime=runtime) == "ana"
    with pytest.raises(Conflict):
        access.add_user("ANA", PASSWORD, role="viewer", runtime=runtime)
    done = log_in(runtime, "aNa")

    assert isinstance(done, Admitted)
    found = Entrance(runtime).find_by_session(done.token)
    assert found is not None
    assert (found.name, found.scope, found.account_id) == ("ana", Scope.OPERATE, None)
    user = find(database, tables.users)
    assert user.password_hash.startswith("$argon2id$")
    assert user.last_login_at == NOON
    assert done.token not in repr(find_all(database, tables.sessions))
    assert [event.actor for event in events_of(database, "logged_in")] == ["user:ana"]


@sqlite_alone
def test_a_session_ends_when_it_is_idle_when_it_is_old_and_at_log_out(runtime: Runtime, clock: ManualClock):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    entrance = Entrance(runtime)
    idle, used, left = token_of(runtime), token_of(runtime), token_of(runtime)
    access.log_out(left, "ana", runtime=runtime)
    assert entrance.find_by_session(left) is None
    clock.advance(timedelta(hours=3))
    found = entrance.find_by_session(used)
    assert found is not None
    assert found.note_use
    entrance.note_use("user", found.id)
    clock.advance(timedelta(hours=1))
    assert entrance.find_by_session(idle) is None
    for _ in range(4):
        found = entrance.find_by_session(used)
        assert found is not None
        entrance.note_use("user", found.id)
        clock.advance(timedelta(hours=2))

    assert clock.now() == NOON + timedelta(hours=12)
    assert entrance.find_by_session(used) is None


@sqlite_alone
@pytest.mark.parametrize("change", ["remove", "password", "role"])
def test_a_change_to_a_user_ends_all_their_sessions(runtime: Runtime, database: Database, change: str):
    access.add_user("ana", PASSWORD, role="admin", runtime=runtime)
    access.add_user("eva", PASSWORD, role="admin", runtime=runtime)
    others = token_of(runtime, "eva")
    tokens = [token_of(runtime), token_of(runtime)]
    if change == "remove":
        assert access.remove_user("ana", runtime=runtime) == 2
    elif change == "password":
        assert access.set_password("ana", "another good one", runtime=runtime) == 2
    else:
        assert access.set_role("ana", "viewer", runtime=runtime)
        assert not access.set_role("ana", "viewer", runtime=runtime)

    entrance = Entrance(runtime)
    assert [entrance.find_by_session(one) for one in tokens] == [None, None]
    assert entrance.find_by_session(others) is not None
    kind = {"remove": "user_removed", "password": "password_set", "role": "role_set"}[change]
    assert [event.reason for event in events_of(database, kind)] == ["ana"]


@sqlite_alone
def test_a_log_in_replaces_the_session_that_the_browser_had_and_the_oldest_of_too_many_ends(runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    first = token_of(runtime)
    second = access.log_in("ana", PASSWORD, address="127.0.0.1", replaces=first, runtime=runtime)
    assert isinstance(second, Admitted)
    entrance = Entrance(runtime)
    assert entrance.find_by_session(first) is None
    for _ in range(access.MOST_SESSIONS):
        last = token_of(runtime)

    assert entrance.find_by_session(second.token) is None
    assert entrance.find_by_session(last) is not None


# --- guessing ----------------------------------------------------------------------------------------------------


@sqlite_suffices
def test_after_five_failures_a_name_waits_ever_longer_up_to_a_quarter_of_an_hour(
    runtime: Runtime, clock: ManualClock, database: Database
):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    waits = []
    for _ in range(17):
        done = log_in(runtime, "ana", "wrong")
        if isinstance(done, Wait):
            waits.append(done.seconds)
            assert isinstance(log_in(runtime, "ana"), Wait)  # the right one waits too, and waiting costs nothing
            clock.advance(timedelta(seconds=done.seconds))
            done = log_in(runtime, "ana", "wrong")
        assert isinstance(done, WrongPassword)

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    clock.advance(timedelta(seconds=900))
    assert isinstance(log_in(runtime, "ana"), Admitted)
    assert isinstance(log_in(runtime, "ana", "wrong"), WrongPassword)
    told = events_of(database, "login_failed")
    assert [event.details["failures"] for event in told] == [1, 2, 4, 8, 16, 1]
    assert "wrong" not in repr(told)


@sqlite_alone
def test_whoever_guesses_on_and_on_does_not_keep_the_owners_browser_waiting(runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    access.add_user("eva", PASSWORD, role="viewer", runtime=runtime)
    mine, of_eva = log_in(runtime, "ana").device, log_in(runtime, "eva").device
    for number in range(6):
        log_in(runtime, "ana", "wrong", address=f"198.51.100.{number}")
    waits = [
        access.log_in("ana", PASSWORD, address="192.0.2.7", device=one, runtime=runtime)
        for one in (None, "", ".", of_eva, mine + "0", f"{mine.partition('.')[0]}.{of_eva.partition('.')[2]}", "é.ñ")
    ]

    assert all(isinstance(one, Wait) for one in waits), waits
    again = access.log_in("ana", PASSWORD, address="192.0.2.7", device=mine, runtime=runtime)
    assert isinstance(again, Admitted) and again.device == mine
    guesses = [access.log_in("ana", "wrong", address="192.0.2.7", device=mine, runtime=runtime) for _ in range(6)]
    assert guesses == [WrongPassword()] * 5 + [Wait(1)], "whoever stole the mark is counted too"
    access.set_password("ana", f"{PASSWORD} anew", runtime=runtime)
    for number in range(6):
        log_in(runtime, "ana", "wrong", address=f"198.51.100.{number}")
    assert isinstance(
        access.log_in("ana", f"{PASSWORD} anew", address="192.0.2.7", device=mine, runtime=runtime), Wait
    )


def test_guesses_at_once_are_counted_as_many_as_they_are(runtime: Runtime):
    access.add_user("ana", PASSWORD, role="viewer", runtime=runtime)
    with ThreadPoolExecutor(12) as threads:
        done = list(threads.map(lambda number: log_in(runtime, "ana", f"wrong {number}"), range(12)))

    assert done.count(WrongPassword()) == 5
    assert done.count(Wait(1)) == 7


@sqlite_alone
def test_a_name_that_nobody_has_waits_as_one_that_somebody_has(runtime: Runtime, database: Database):
    secret = "a password typed as the name"
    done = [log_in(runtime, secret, "wrong") for _ in range(6)]

    assert done == [WrongPassword()] * 5 + [Wait(1)]
    assert secret not in repr(find_all(database, tables.login_failures)) + repr(find_all(database, tables.events))


@sqlite_alone
def test_an_address_waits_after_twenty_failures_whatever_the_names(runtime: Runtime):
    household = [f"2001:db8:1:2::{number:x}" for number in range(1, 22)]
    done = [log_in(runtime, f"name {number}", "wrong", address=one) for number, one in enumerate(household)]

    assert done == [WrongPassword()] * 20 + [Wait(1)]
    assert log_in(runtime, "somebody", "wrong", address="2001:db8:1:3::1") == WrongPassword()


@sqlite_alone
def test_strangers_fill_no_table(runtime: Runtime, database: Database, clock: ManualClock):
    for number in range(4):
        log_in(runtime, f"stranger {number}", "wrong", address=f"192.0.2.{number}")
    before = find_all(database, tables.login_failures)
    clock.advance(timedelta(days=2))
    log_in(runtime, "stranger", "wrong", address="198.51.100.1")

    assert len(before) == 8
    assert len(find_all(database, tables.login_failures)) == 2


# --- what this file needs --------------------------------------------------------------------------------------


def log_in(runtime: Runtime, name: str, password: str = PASSWORD, address: str = "192.0.2.7") -> Any:
    return access.log_in(name, password, address=address, runtime=runtime)


def token_of(runtime: Runtime, name: str = "ana") -> str:
    done = log_in(runtime, name)
    assert isinstance(done, Admitted)
    return done.token
