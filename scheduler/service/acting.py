"""Who is asking: the name that the audit gives to what is done now.

The command line asks as `cli`. The web application says for each request who it is for, and the worker
threads of that request inherit it. A newcomer would pass it through every function: thirty of them would
carry an argument that none of them looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

COMMAND_LINE = "cli"
LONGEST = 96
"""Characters that `events.actor` holds."""

_actor: ContextVar[str] = ContextVar("actor", default=COMMAND_LINE)
_account: ContextVar[int | None] = ContextVar("account", default=None)


def current_actor() -> str:
    """As `events.actor` has it: `cli`, `key:NAME`, `user:NAME` or `open` (nobody had to say who they are)."""
    return _actor.get()


@contextmanager
def acting_as(actor: str) -> Iterator[None]:
    """While this lasts, what is done here is done by `actor`."""
    token = _actor.set(actor[:LONGEST])
    try:
        yield
    finally:
        _actor.reset(token)


def act_as(actor: str, account_id: int | None = None) -> None:
    """From now on, in this context (a task, or the threads that it starts), `actor` does what is done.

    `account_id`: they are of that account alone, and choose from what it may use.
    """
    _actor.set(actor[:LONGEST])
    _account.set(account_id)


def current_account() -> int | None:
    """The account that whoever asks is bound to; None for one who sees everything."""
    return _account.get()
