"""Whether a process that claimed a dial may still send its request: what "not found" is worth.

A process can be frozen between its last look at the clock and its request, and wake at any time. So a look-up that
finds nothing proves something only once the claimer has shown that it goes on (it has written its heartbeat since),
has said goodbye, is known to be dead, or has been silent for longer than anybody is frozen. Known to be dead: its
host has no such process any more, by the marks below, which any daemon of that host can see.

A newcomer would trust a process id alone. Another program may have it by now, and a container has ids of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from scheduler.store import journal
from scheduler.store.database import Connection

NOWHERE = "-"
"""Where the system does not tell."""


def mark_of(pid: int, proc: Path = Path("/proc")) -> str | None:
    """What no other process ever shares: machine, its start, the space of process ids, and when this one began.

    None: there is no such process here, or it is dead and only not buried yet. Words with spaces between.
    """
    try:
        # The name in brackets may hold anything, so fields are counted from behind it (proc(5)).
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in ("Z", "X", "x"):
        return None
    return f"{here(proc)} {fields[19]}"


def here(proc: Path = Path("/proc")) -> str:
    """Machine, its start and the space of process ids that this process lives in."""
    return " ".join((_read(Path("/etc/machine-id"))[:12], _read(proc / "sys/kernel/random/boot_id")[:13], _space(proc)))


def is_dead(row: journal.Claimer, own_host: str, proc: Path = Path("/proc")) -> bool:
    """Is this process known not to run any more? False: nobody here can say."""
    if row.process_mark is None or row.process_mark.count(" ") != 3:
        return False
    theirs, ours = row.process_mark.rpartition(" ")[0], here(proc)
    their_machine, their_start, _ = theirs.split()
    our_machine, our_start, our_space = ours.split()
    if NOWHERE in (our_start, our_space):
        return False
    if theirs == ours:
        return mark_of(row.pid, proc) != row.process_mark
    # The same machine, started again since.
    is_same = their_machine == our_machine != NOWHERE and row.host == own_host
    return is_same and their_start not in (our_start, NOWHERE)


class Claimers:
    """Daemons that claimed some dials, as the table and this host know them at one instant."""

    def __init__(
        self, connection: Connection, owners: Collection[str], *, host: str, now: datetime, gone_after: timedelta
    ) -> None:
        self._rows = journal.read_claimers(connection, owners)
        self._host, self._now, self._gone_after = host, now, gone_after

    def may_still_send(self, owner: str | None, claimed_at: datetime, over_by: datetime) -> bool:
        """May the request of a dial that this process claimed leave from now on? `over_by`: when it had to be over."""
        if owner is None:
            return False  # claimed by a release that did not say who it was
        row = self._rows.get(owner)
        seen_at = max(claimed_at, row.last_seen_at) if row else claimed_at
        if self._now - seen_at > self._gone_after:
            return False
        if row is None:
            return True
        return row.status != "stopped" and row.last_seen_at <= over_by and not is_dead(row, self._host)


def _space(proc: Path) -> str:
    try:
        return str((proc / "self/ns/pid").stat().st_ino)
    except OSError:
        return NOWHERE


def _read(path: Path) -> str:
    try:
        return path.read_text().strip().partition(" ")[0] or NOWHERE
    except OSError:
        return NOWHERE
