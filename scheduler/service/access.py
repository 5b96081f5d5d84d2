"""Who may ask over HTTP: API keys, users who log in, their sessions; and whether access is still open.

Decided here: what a key and a password must be, how long a session lasts, how long somebody waits who guesses.
What must stay true:

- No secret is stored or logged: a key and a session are shown once, at their making; tables have their SHA-256,
  and the Argon2 hash of a password.
- Every request is looked up: a key that was revoked, a user who was removed, is refused from the next one on.
- A guess is counted before it is looked at, so that a hundred guesses at once are a hundred. What strangers type
  is never stored: rows for names that nobody has are few, whatever they try.
- Whoever goes on guessing keeps a name waiting, but not its owner: a browser that they logged in with has a mark
  of it, and its failures are counted by themselves.
- A name that nobody has takes as long as a wrong password.

Nobody has to be known as long as the tables have neither a key nor a user: then a link that is good once decides (see
`web.access.Opening`). A revoked key still counts: otherwise revoking the last one would open what it closed. The
command line always gets in.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
import threading
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from scheduler.clock import boottime
from scheduler.errors import (
    Conflict,
    Contended,
    DatabaseUnavailable,
    InvalidValue,
    MissingExtra,
    NotFound,
    RingbackError,
)
from scheduler.model import Happening, Role, Scope
from scheduler.service.acting import current_actor
from scheduler.service.runtime import Runtime, shared_runtime
from scheduler.service.second_factor import (
    find_step,
    hash_recovery,
    make_recovery_codes,
    make_secret,
    without_code,
)
from scheduler.store import access, accounts, journal
from scheduler.store.database import Connection, DatabaseClock, skew

if TYPE_CHECKING:
    from argon2 import PasswordHasher

W = TypeVar("W", bound=StrEnum)
LONGEST_NAME = 64
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128
FAR_TOO_LONG = 4 * LONGEST_PASSWORD
LEAST_DIFFERENT = 5
"""Characters of a password that differ."""
COMMON_PASSWORDS = frozenset({
    "password1234", "passwordpassword", "password12345", "password123456", "contraseña123", "contrasena123",
    "contraseña1234", "contrasena1234", "123456789012", "1234567890123", "12345678901234567890", "qwertyuiopas",
    "qwertyuiop123", "1qaz2wsx3edc", "administrator", "administrador", "adminadminadmin", "changemeplease",
    "letmeinletmein", "iloveyou1234", "abcdefghijkl", "ringbackringback", "ringback1234",
})  # fmt: skip
MOST_DAYS = 3650

IDLE = timedelta(hours=4)
LONGEST_SESSION = timedelta(hours=12)
"""A working day. A page that is open asks by itself, so only a browser that was closed is idle."""
MOST_SESSIONS = 10
"""Of one user at a time; the oldest end."""
NOTED_EVERY = timedelta(minutes=1)
"""How exactly the tables know when a key or a session was used last."""

FREE_GUESSES, FREE_GUESSES_OF_ADDRESS = 5, 20
"""Log-ins that may fail in a row before the next one waits: of one name, and from one address, which many share."""
LONGEST_WAIT = timedelta(minutes=15)
FORGIVEN_AFTER = timedelta(hours=6)
UNKNOWN_NAMES = 1024
"""Rows for the failures of names that nobody has."""
HASHES_AT_ONCE = 2
"""Each takes 19 MiB and some 30 ms of a core."""

TOKEN = re.compile(r"rb_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
SKEW_LASTS = 60.0
"""Seconds for which the measured difference of this host's clock to the database's is believed."""


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who was recognized. `note_use` says that the tables should hear of it."""

    id: int
    name: str
    scope: Scope
    account_id: int | None
    note_use: bool


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key. `token` is shown once."""

    id: int
    name: str
    prefix: str
    token: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """A log-in that succeeded: the secret of the session, and the mark of the browser, for cookies."""

    token: str
    user: str
    device: str


@dataclass(frozen=True, slots=True)
class WrongPassword:
    """Wrong name or wrong password; nobody is told which."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Too many log-ins failed; the next is looked at after `seconds`."""

    seconds: int


# --- recognizing ----------------------------------------------------------------------------------


class Entrance:
    """Recognizes who asks. One for each process; safe for several threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._skew, self._measured_at = timedelta(0), -SKEW_LASTS
        self._lock = threading.Lock()

    def is_open(self) -> bool:
        """Is there neither a key nor a user?"""
        return not self._runtime.database.read(access.has_anybody)

    def find_by_key(self, token: str) -> Known | str:
        """Whose key it is, or a sentence why it is none."""
        parts = TOKEN.fullmatch(token)
        if parts is None:
            return "this API key is not valid"
        found = self._runtime.database.read(lambda connection: access.find_key(connection, parts[1]))
        if found is None or not hmac.compare_digest(found.secret_sha256, _digest(parts[2])):
            return "this API key is not valid"
        if found.revoked_at is not None:
            return "this API key was revoked"
        now = self.now()
        if found.expires_at is not None and found.expires_at <= now:
            return "this API key has expired"
        return Known(found.id, found.name, found.scope, found.account_id, _is_due(found.last_used_at, now))

    def find_by_session(self, token: str) -> Known | None:
        """Who logged in, None when the session is over."""
        found = self._runtime.database.read(lambda connection: access.find_session(connection, _digest(token)))
        if found is None:
            return None
        now = self.now()
        if found.expires_at <= now or found.seen_at + IDLE <= now:
            return None
        return Known(found.id, found.name, found.role.scope, found.account_id, _is_due(found.seen_at, now))

    def find_valid(self, keys: Collection[int], sessions: Collection[int]) -> tuple[set[int], set[int]]:
        """Which of these keys and sessions would still be let in: one statement for each kind, however many."""
        now = self.now()
        return self._runtime.database.read(
            lambda connection: access.find_valid(connection, keys, sessions, now=now, seen_since=now - IDLE)
        )

    def note_use(self, kind: str, row_id: int) -> None:
        """Write that a key or a session was used. Nothing depends on it at once: what keeps it away is ignored."""
        touch = access.touch_key if kind == "key" else access.touch_session
        try:
            now = self.now()
            self._runtime.database.transact(lambda connection: touch(connection, row_id, now), tries=1)
        except RingbackError:
            return

    def now(self) -> datetime:
        """The database's time without asking it each time: a request has one statement for knowing who asks."""
        if not isinstance(self._runtime.clock, DatabaseClock):
            return self._runtime.clock.now()
        with self._lock:
            is_stale = boottime() - self._measured_at > SKEW_LASTS
            if is_stale:
                self._measured_at = boottime()
        if is_stale:
            with contextlib.suppress(DatabaseUnavailable):  # the last known difference has to do
                self._skew = skew(self._runtime.database)
        return self._runtime.clock_of_host() - self._skew


def _is_due(last_at: datetime | None, now: datetime) -> bool:
    return last_at is None or now - last_at >= NOTED_EVERY


# --- keys -----------------------------------------------------------------------------------------


def create_key(
    name: str, *, scope: str | Scope = Scope.READ, account: str | int | None = None, days: int | None = None,
    runtime: Runtime | None = None,
) -> MadeKey:
    """Make a key. `account` (code or id): it sees that account alone. `days`: it expires after so many.

    Raises InvalidValue, NotFound (the account), Conflict (a valid key has this name).
    """
    runtime = runtime or shared_runtime()
    name = _read_name(name)
    if name.isdecimal() or TOKEN.match(name):
        raise InvalidValue("name", name, "write a name that is not a number")
    wanted = _read_word("scope", scope, Scope)
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InvalidValue("days", days, f"write 1 to {MOST_DAYS}")
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    now = runtime.clock.now()
    expires_at = now + timedelta(days=days) if days is not None else None

    def work(connection: Connection) -> MadeKey:
        payer = None
        if account is not None:
            payer = accounts.find_account(connection, account)
            if payer is None:
                raise NotFound("account", account)
        if any(_is_valid(one, now) for one in access.lock_keys(connection, name)):
            raise Conflict(f"there is a key {name} already; revoke it first, or choose another name")
        key_id = access.insert_key(connection, {
            "name": name, "prefix": prefix, "secret_sha256": _digest(secret), "scope": wanted.value,
            "account_id": payer.id if payer else None, "created_at": now, "expires_at": expires_at,
        })
        of = {"account": payer.code} if payer else {}
        until = {"expires_at": expires_at.isoformat()} if expires_at else {}
        _record(connection, "key_created", now, name, key=key_id, prefix=prefix, scope=wanted.value, **of, **until)
        return MadeKey(key_id, name, prefix, f"rb_{prefix}_{secret}")

    return runtime.database.transact(work)


def revoke_key(key: str, *, reason: str | None = None, runtime: Runtime | None = None) -> str:
    """End a key, named by its id, its name or its prefix. Returns its name; done again it changes nothing.

    Raises NotFound, and Conflict where several valid ones have this name.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        found = _one_key(connection, key)
        if access.revoke_key(connection, found.id, now):
            more = {"why": reason} if reason else {}
            _record(connection, "key_revoked", now, found.name, key=found.id, prefix=found.prefix, **more)
        return found.name

    return runtime.database.transact(work)


def forget_key(key: str, *, runtime: Runtime | None = None) -> str:
    """Delete a revoked key from the table; the audit keeps that it was there. Returns its name.

    Raises NotFound, and Conflict for a key that is not revoked.
    """
    runtime = runtime or shared_runtime()
    now = runtime.clock.now()

    def work(connection: Connection) -> str:
        found = _one_key(connection, key)
        if found.revoked_at is None:
            raise Conflict(f"the key {found.name} is not revoked; revoke it first")
        access.forget_key(connection, found.id)
        _record(connection, "key_forgotten", now, found.name, key=found.id, prefix=found.prefix)
        return found.name

    return runtime.database.transact(work)


def _one_key(connection: Connection, key: str) -> access.KeyRow:
    """The one that is meant: among several of one name, the one that is not revoked."""
    parts = TOKEN.fullmatch(key.strip())
    found = access.lock_keys(connection, parts[1] if parts else key.strip())
    if not found:
        raise NotFound("key", parts[1] if parts else key.strip()[:LONGEST_NAME])
    left = [one for one in found if one.revoked_at is None] or found[-1:]
    if len(left) > 1:
        ids = ", ".join(str(one.id) for one in left)
        raise Conflict(f"several keys are called {key.strip()}; name one by its id: {ids}")
    return left[0]


def _is_valid(key: access.KeyRow, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


# --- users ----------------------------------------------------------------------------------------


def add_user(
    name: str, password: str, *, role: str | Role, account: str | int | None = None, runtime: Runtime | None = None
) -> str:
    """Let somebody log in. Returns the name as it is written from now on: small letters.

    `account` (code or id): they see that account alone. Raises NotFound for one that does not exist, InvalidValue for
    a name or a password that will not do, Conflict for a name that is taken.
    """
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    wanted = _read_word("role", role, Role)
    _check_password(password, name)
    password_hash = _hash(password)
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        if access.is_name_taken(connection, name):
            raise Conflict(f"there is a user {name} already")
        access.insert_user(connection, {
            "name": name, "password_hash": password_hash, "role": wanted.value, "created_at": now,
            "account_id": _account_id(connection, account),
        })
        access.forget_failures(connection, who=_who(name))
        of = {} if account is None else {"account": str(account)}
        _record(connection, "user_added", now, name, role=wanted.value, **of)

    runtime.database.transact(work)
    return name


def set_password(name: str, password: str, *, runtime: Runtime | None = None) -> int:
    """Give a user another password, and end their sessions. Returns how many. Raises NotFound, InvalidValue."""
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    _check_password(password, name)
    password_hash = _hash(password)
    now = runtime.clock.now()

    def work(connection: Connection) -> int:
        user = _lock_user(connection, name)
        access.change_user(connection, user.id, {"password_hash": password_hash})
        access.forget_failures(connection, who=_who(name))
        _record(connection, "password_set", now, name)
        return access.end_sessions(connection, user.id)

    return runtime.database.transact(work)


def set_role(name: str, role: str | Role, *, runtime: Runtime | None = None) -> bool:
    """Give a user another role, and end their sessions. False when it was so already. Raises NotFound."""
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    wanted = _read_word("role", role, Role)
    now = runtime.clock.now()

    def work(connection: Connection) -> bool:
        user = _lock_user(connection, name)
        if user.role is wanted:
            return False
        access.change_user(connection, user.id, {"role": wanted.value})
        access.end_sessions(connection, user.id)
        _record(connection, "role_set", now, name, was=user.role.value, role=wanted.value)
        return True

    return runtime.database.transact(work)


def bind_user(name: str, account: str | int | None, *, runtime: Runtime | None = None) -> bool:
    """Let a user see one account alone, or (None) everything; their sessions end. False when it was so already.

    Raises NotFound for the user or the account.
    """
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    now = runtime.clock.now()

    def work(connection: Connection) -> bool:
        user, account_id = _lock_user(connection, name), _account_id(connection, account)
        if user.account_id == account_id:
            return False
        access.change_user(connection, user.id, {"account_id": account_id})
        access.end_sessions(connection, user.id)
        _record(connection, "user_bound", now, name, account=None if account is None else str(account))
        return True

    return runtime.database.transact(work)


def _account_id(connection: Connection, account: str | int | None) -> int | None:
    if account is None:
        return None
    found = accounts.find_account(connection, account)
    if found is None:
        raise NotFound("account", account)
    return found.id


def change_own_password(
    name: str, current: str, new: str, *, address: str, keeps: str | None, runtime: Runtime
) -> WrongPassword | Wait | None:
    """By somebody who is logged in and knows the present one. Their other sessions end, `keeps` stays.

    Guesses count like log-ins. Raises InvalidValue for a new one that will not do.
    """
    _check_password(new, name)
    now = runtime.clock.now()
    user = runtime.database.read(lambda connection: access.find_user(connection, name))
    if user is None:
        return WrongPassword()
    wait = _count_guess(runtime, _who(name), {_who(name): FREE_GUESSES}, name, address, now)
    if wait is not None:
        return wait
    if not _is_right(current, user.password_hash):
        return WrongPassword()
    known, password_hash = user, _hash(new)

    def work(connection: Connection) -> bool:
        if _lock_user(connection, name).password_hash != known.password_hash:
            return False
        access.change_user(connection, known.id, {"password_hash": password_hash})
        access.forget_failures(connection, who=_who(name))
        access.end_sessions(connection, known.id, but=_digest(keeps) if keeps else None)
        _record(connection, "password_set", now, name)
        return True

    return None if runtime.database.transact(work) else WrongPassword()


# --- the second factor ----------------------------------------------------------------------------


def begin_second_factor(name: str, *, runtime: Runtime) -> str:
    """A new secret, which counts for nothing until a code of it was shown. Raises Conflict where there is one."""

    def work(connection: Connection) -> str:
        user = _lock_user(connection, name)
        if user.totp_since is not None:
            raise Conflict("there is a second factor already; turn it off first")
        secret = make_secret()
        access.change_user(connection, user.id, {"totp_secret": secret, "totp_step": None})
        return secret

    return runtime.database.transact(work)


def confirm_second_factor(
    name: str, code: str, *, address: str, keeps: str | None, runtime: Runtime
) -> list[str] | WrongPassword | Wait:
    """From now on a log-in needs a code. Returns the codes for the loss of what makes them, which are shown once."""
    now = runtime.clock.now()
    wait = _count_guess(runtime, _who(name), {_who(name): FREE_GUESSES}, name, address, now)
    if wait is not None:
        return wait
    codes = make_recovery_codes()

    def work(connection: Connection) -> bool:
        user = _lock_user(connection, name)
        if user.totp_since is not None or user.totp_secret is None:
            raise Conflict("there is no second factor that waits to be confirmed; begin anew")
        step = find_step(user.totp_secret, code, now, None)
        if step is None:
            return False
        access.change_user(connection, user.id, {
            "totp_since": now, "totp_step": step, "recovery_codes": [hash_recovery(one) for one in codes],
        })
        access.forget_failures(connection, who=_who(name))
        access.end_sessions(connection, user.id, but=_digest(keeps) if keeps else None)
        _record(connection, "second_factor_on", now, name)
        return True

    return codes if runtime.database.transact(work) else WrongPassword()


def end_second_factor(
    name: str, password: str, code: str, *, address: str, runtime: Runtime
) -> WrongPassword | Wait | None:
    """By its owner, with both factors."""
    now = runtime.clock.now()
    user = runtime.database.read(lambda connection: access.find_user(connection, name))
    wait = _count_guess(runtime, _who(name), {_who(name): FREE_GUESSES}, name, address, now)
    if wait is not None:
        return wait
    if user is None or not _is_right(password, user.password_hash):
        return WrongPassword()

    def work(connection: Connection) -> bool:
        current = _lock_user(connection, name)
        if _second_factor(current, code, now) is None:
            return False
        _forget_second_factor(connection, current.id)
        access.forget_failures(connection, who=_who(name))
        _record(connection, "second_factor_off", now, name)
        return True

    return None if runtime.database.transact(work) else WrongPassword()


def reset_second_factor(name: str, *, runtime: Runtime | None = None) -> bool:
    """For somebody who lost it and its codes too. Their sessions end. False where there was none. Raises NotFound."""
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    now = runtime.clock.now()

    def work(connection: Connection) -> bool:
        user = _lock_user(connection, name)
        if user.totp_secret is None:
            return False
        _forget_second_factor(connection, user.id)
        access.end_sessions(connection, user.id)
        _record(connection, "second_factor_reset", now, name)
        return True

    return runtime.database.transact(work)


def has_second_factor(name: str, *, runtime: Runtime) -> bool:
    user = runtime.database.read(lambda connection: access.find_user(connection, name))
    return user is not None and user.totp_since is not None


def _forget_second_factor(connection: Connection, user_id: int) -> None:
    access.change_user(connection, user_id, {
        "totp_secret": None, "totp_since": None, "totp_step": None, "recovery_codes": None,
    })


def _second_factor(user: access.UserRow, code: str, now: datetime) -> dict[str, object] | None:
    """What to write of a code that is right, so that it is good once; None for one that is not.

    Without a second factor any code is right, and nothing is written.
    """
    if user.totp_since is None or user.totp_secret is None:
        return {}
    step = find_step(user.totp_secret, code, now, user.totp_step)
    if step is not None:
        return {"totp_step": step}
    left = without_code(user.recovery_codes, code)
    return None if left is None else {"recovery_codes": left}


def remove_user(name: str, *, runtime: Runtime | None = None) -> int:
    """Remove a user, and end their sessions. Returns how many. Raises NotFound."""
    runtime = runtime or shared_runtime()
    name = read_user_name(name)
    now = runtime.clock.now()

    def work(connection: Connection) -> int:
        user = _lock_user(connection, name)
        ended = access.end_sessions(connection, user.id)
        access.delete_user(connection, user.id)
        _record(connection, "user_removed", now, name, role=user.role.value)
        return ended

    return runtime.database.transact(work)


def check_new_user(name: str, *, runtime: Runtime) -> str:
    """The name as it is written, before anybody is asked for a password. Raises InvalidValue, Conflict."""
    name = read_user_name(name)
    if runtime.database.read(lambda connection: access.is_name_taken(connection, name)):
        raise Conflict(f"there is a user {name} already")
    return name


def require_user(name: str, *, runtime: Runtime) -> str:
    """The name as it is written, of a user who exists. Raises InvalidValue, NotFound."""
    name = read_user_name(name)
    if runtime.database.read(lambda connection: access.find_user(connection, name)) is None:
        raise NotFound("user", name)
    return name


def read_user_name(name: str) -> str:
    """In small letters, so that Ana and ana are one. Raises InvalidValue."""
    return _read_name(unicodedata.normalize("NFKC", name).casefold())


def _lock_user(connection: Connection, name: str) -> access.UserRow:
    found = access.lock_user(connection, name)
    if found is None:
        raise NotFound("user", name)
    return found


def _check_password(password: str, name: str) -> None:
    """Raises InvalidValue, which never repeats it."""
    plain = _plain(password)
    problem = None
    if not SHORTEST_PASSWORD <= len(plain) <= LONGEST_PASSWORD:
        problem = f"write {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    elif plain.casefold().replace(" ", "") == name.replace(" ", ""):
        problem = "write something else than the name"
    elif len(set(plain)) < LEAST_DIFFERENT or plain.casefold() in COMMON_PASSWORDS:
        problem = "write one that is harder to guess: several unrelated words, for example"
    if problem:
        raise InvalidValue("password", "...", problem)


# --- logging in and out ---------------------------------------------------------------------------


def log_in(
    name: str, password: str, *, address: str, code: str = "", replaces: str | None = None,
    device: str | None = None, runtime: Runtime,
) -> Admitted | WrongPassword | Wait:
    """A new session, for the right password, and the right code where there is a second factor.

    `replaces` is the session that the browser had, which ends.

    `address` is where it comes from, `device` the mark of an earlier log-in with this browser. Raises Contended while
    too many others log in.
    """
    now = runtime.clock.now()
    try:
        name = read_user_name(name)
        user = runtime.database.read(lambda connection: access.find_user(connection, name))
    except InvalidValue:
        user = None
    of_name = _who(name) if user else f"nobody:{int(_digest(name)[:8], 16) % UNKNOWN_NAMES}"
    of_address = f"address:{_network(address)}"
    free = {of_name: FREE_GUESSES, of_address: FREE_GUESSES_OF_ADDRESS}
    mark = (device or "").partition(".")[0]
    if user is not None and mark and hmac.compare_digest(_sent(_device(mark, user.password_hash)), _sent(device)):
        of_name = f"device:{_digest(mark)[:32]}"
        free = {of_name: FREE_GUESSES}
    else:
        mark = secrets.token_urlsafe(16)
    wait = _count_guess(runtime, of_name, free, user.name if user else None, address, now)
    if wait is not None:
        return wait
    if not _is_right(password, user.password_hash if user else None) or user is None:
        return WrongPassword()
    known, token = user, secrets.token_urlsafe(32)
    better = _hash(password) if _hasher().check_needs_rehash(known.password_hash) else None

    def work(connection: Connection) -> bool:
        current = access.lock_user(connection, known.name)
        if current is None or current.password_hash != known.password_hash:
            return False  # removed, or given another password, while this one was looked at
        seen = _second_factor(current, code, now)
        if seen is None:
            return False
        if replaces is not None:
            access.end_session(connection, _digest(replaces))
        access.forget_sessions(connection, known.id, now=now, seen_since=now - IDLE, keep=MOST_SESSIONS - 1)
        access.insert_session(connection, {
            "token_sha256": _digest(token), "user_id": known.id, "created_at": now, "last_seen_at": now,
            "expires_at": now + LONGEST_SESSION,
        })
        access.change_user(connection, known.id, {"last_login_at": now, **seen})
        if better is not None:
            access.renew_hash(connection, known.id, was=known.password_hash, now_is=better)
        access.forget_failures(connection, who=of_name)
        if of_address in free:
            access.take_back_failure(connection, of_address)
        happening = Happening("logged_in", f"user:{known.name}", reason=f"from {address}")
        journal.add_events(connection, [happening], now)
        return True

    if not runtime.database.transact(work):
        return WrongPassword()
    return Admitted(token, known.name, _device(mark, better or known.password_hash))


def log_out(token: str, name: str, *, runtime: Runtime) -> None:
    """End a session. One that is over already is none the worse."""
    now = runtime.clock.now()

    def work(connection: Connection) -> None:
        if access.end_session(connection, _digest(token)):
            journal.add_events(connection, [Happening("logged_out", f"user:{name}")], now)

    runtime.database.transact(work)


def _count_guess(
    runtime: Runtime, of_name: str, free: Mapping[str, int], user: str | None, address: str, now: datetime
) -> Wait | None:
    """Take this log-in for a failure until it is none; or say how long to wait, which counts nothing.

    `free`: how many of each may fail in a row; `of_name` is the one that the audit is told of.
    """

    def work(connection: Connection) -> Wait | None:
        found = access.lock_failures(connection, free, now)
        again_at = max(one.last_at + wait_after(one.failures - free[who]) for who, one in found.items())
        if again_at > now:
            return Wait(max(1, -int((now - again_at).total_seconds() // 1)))
        for who, one in found.items():
            failures = 0 if now - one.last_at > FORGIVEN_AFTER else one.failures
            access.write_failures(connection, who, failures + 1, now)
            if who == of_name and _is_told(failures + 1):
                # Not what was typed: people type their password where the name belongs.
                reason = f"{'the user ' + user if user else 'a name that nobody has'}, from {address}"
                told = Happening("login_failed", "nobody", reason=reason, details={"failures": failures + 1})
                journal.add_events(connection, [told], now)
        if not all(one.failures for one in found.values()):
            access.forget_failures(connection, before=now - 4 * FORGIVEN_AFTER)
        return None

    return runtime.database.transact(work)


def wait_after(beyond: int) -> timedelta:
    """How long after the last failure the next log-in waits; `beyond` is the failures past the free ones."""
    if beyond < 0:
        return timedelta(0)
    return min(LONGEST_WAIT, timedelta(seconds=2 ** min(beyond, 12)))


def _is_told(failures: int) -> bool:
    """Is this failure one for the audit? The first, and ever fewer after it: nobody may fill the table."""
    return failures & (failures - 1) == 0


def _network(address: str) -> str:
    """Of IPv6 the network of a household: it has as many addresses as it likes."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return _digest(address)[:16]
    if read.version == 4 or read.is_loopback:
        return str(read)
    return str(ipaddress.ip_network((read, 64), strict=False))


def _who(name: str) -> str:
    return f"user:{name}"


def _device(mark: str, password_hash: str) -> str:
    """The mark with its seal: nobody makes one without the hash, and another password ends it."""
    return f"{mark}.{hmac.new(password_hash.encode(), _sent(mark), hashlib.sha256).hexdigest()}"


def _sent(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "replace")


# --- passwords ------------------------------------------------------------------------------------

_hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
HASHING_WAIT_SECONDS = 10.0


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError:
        raise MissingExtra("a password", "web") from None
    return PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)  # what OWASP's cheat sheet asks for


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hash(secrets.token_urlsafe(32))


def _hash(password: str) -> str:
    hasher = _hasher()
    with _hashing:
        return hasher.hash(_bytes(password))


def _is_right(password: str, password_hash: str | None) -> bool:
    """Takes as long without a hash as with one."""
    from argon2.exceptions import InvalidHashError, VerificationError

    known = password_hash or _nobodys_hash()
    hasher = _hasher()
    if not _hashing.acquire(timeout=HASHING_WAIT_SECONDS):
        raise Contended("too many people are logging in; try again")
    try:
        return hasher.verify(known, _bytes(password[:FAR_TOO_LONG])) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _hashing.release()


def _plain(password: str) -> str:
    """One way to write each character: keyboards differ in how they send an é."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    return _plain(password).encode("utf-8", "surrogatepass")


# --- where to listen ------------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Is it this machine alone that reaches `host`, an address or a name? False where a name has another address."""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_loopback_address(str(one)) for one in found)


def require_admin_beyond_loopback(host: str, runtime: Runtime) -> None:
    """Before listening where others can reach it. Raises Conflict unless it is loopback or there is an admin."""
    if is_loopback(host):
        return
    now = runtime.clock.now()
    if not runtime.database.read(lambda connection: access.has_admin(connection, now)):
        raise Conflict(
            f"{host or 'an empty host'} can be reached from other machines and nobody has to log in yet; make an admin "
            "first (ringback users add NAME --role admin), or listen at 127.0.0.1"
        )


def _is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


# --- words ----------------------------------------------------------------------------------------


def _read_name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidValue("name", name[:40], f"write 1 to {LONGEST_NAME} printable characters")
    return name


def _read_word(field: str, text: str, words: type[W]) -> W:
    try:
        return words(text)
    except ValueError:
        raise InvalidValue(field, text[:40], f"write {', '.join(words)}") from None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _record(connection: Connection, kind: str, now: datetime, reason: str, **details: object) -> None:
    journal.add_events(connection, [Happening(kind, current_actor(), reason=reason, details=details)], now)
