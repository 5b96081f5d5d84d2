"""Ringback as people run it, over a real Asterisk, with the wire as the judge of what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from scheduler.store import schema, tables
from scheduler.store.database import Database
from tests.asterisk.pbx import Pbx, People
from tests.asterisk.people import SipCall, read_calls
from tests.factories import add_campaign, add_due_lead, attempts_of, find_all, set_config
from tests.waiting import wait_until

ALWAYS = {"allowed_hours": {"start": "00:00", "end": "24:00"}, "days_of_week": [1, 2, 3, 4, 5, 6, 7]}
RINGS, LASTS = 5, 10
"""Seconds: the ring time-out and the maximum of every call here, the shortest that Ringback takes."""
SETTINGS = {
    "DISPATCH_INTERVAL": 0.2, "FOLLOW_INTERVAL": 0.3, "UPKEEP_INTERVAL": 1, "POLL_EVERY": 1, "DIALING_PLACES": 40,
    "DIAL_BUDGET": 2, "REQUEST_TIMEOUT": 2, "LEASE_SECONDS": 10, "SETTLE_SECONDS": 12, "LOG_FORMAT": "json",
}  # fmt: skip
AT_ONCE = 60
OPEN = ("placing", "live", "unknown")


class House:
    """One database in `folder`, whoever is called by it, and the daemons that were started."""

    def __init__(self, folder: Path, people: People, pbx: Pbx, **keys: str) -> None:
        self.folder, self.people, self.pbx = folder, people, pbx
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"sqlite:///{folder / 'ringback.db'}"
        self.database = Database(self.url)
        self.database.make_file()
        schema.upgrade(self.database)
        set_config(self.database, max_concurrent_calls=str(AT_ONCE), max_calls_per_number="100")
        self.keys = {**pbx.keys(), **keys}
        self.daemons: list[subprocess.Popen[bytes]] = []
        self._numbers = 0
        self.since = len(read_calls(people.messages))

    def __enter__(self) -> House:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.daemons:
            with suppress(ProcessLookupError):
                one.kill()
            one.wait()
        self.database.close()

    def campaign(self, code: str, **settings: Any) -> int:
        rules = {**ALWAYS, "ring_timeout": RINGS, "max_call_duration": LASTS, "max_attempts": 1, **settings}
        return add_campaign(self.database, code, call_settings=rules)

    def lead(self, campaign_id: int, ending: int, **variables: Any) -> int:
        """A lead whose number ends in `ending`, due now."""
        self._numbers += 1
        number = f"+5691{os.getpid() % 100:02}{self._numbers:03}{ending:02}"
        columns = {"variables": variables} if variables else {}
        return add_due_lead(self.database, number, campaign_id=campaign_id, at=self.database.now(), **columns)

    def start(self, **keys: str) -> subprocess.Popen[bytes]:
        with (self.folder / "daemon.log").open("ab") as out:
            one = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "run"], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env=self.environment(**keys), cwd=Path(__file__).resolve().parents[2],
            )
        self.daemons.append(one)
        return one

    def environment(self, **keys: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("RINGBACK_", "ASTERISK_"))}
        own = {f"RINGBACK_{name}": str(value) for name, value in SETTINGS.items()}
        return {**plain, **own, "RINGBACK_DATABASE_URL": self.url, "RINGBACK_PROVIDER": "asterisk", **self.keys, **keys}

    def run(self, *command: str, **keys: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *command], env=self.environment(**keys), capture_output=True, text=True,
            cwd=Path(__file__).resolve().parents[2],
        )

    # --- what we believe

    def attempt(self, lead_id: int) -> Any:
        return next(iter(reversed(attempts_of(self.database, lead_id))), None)

    def wait_over(self, leads: Iterable[int]) -> None:
        """Until each of them was dialed and nothing of it is open."""
        rest = set(leads)

        def is_over() -> bool:
            found = {one.lead_id: one.state for one in find_all(self.database, tables.call_attempts)}
            return rest <= found.keys() and not any(found[one] in OPEN for one in rest)

        wait_until(is_over, what=self.said()[-3000:])

    def wait(self, condition: Callable[[], object]) -> None:
        wait_until(condition, what=self.said()[-3000:])

    def said(self) -> str:
        path = self.folder / "daemon.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- what the wire says

    def calls(self, lead_id: int | None = None) -> list[SipCall]:
        """Those of this house, or of one lead, in the order of the wire."""
        found = list(read_calls(self.people.messages).values())[self.since:]
        if lead_id is None:
            return found
        numbers = {one.telefono for one in find_all(self.database, tables.lead_phones, lead_id=lead_id)}
        return [one for one in found if one.number in numbers]

    def differences(self, leads: Sequence[int]) -> list[str]:
        """Where attempts and the wire disagree: calls, answers, ends. None: there are none."""
        found = []
        for lead_id in leads:
            attempts = sorted(attempts_of(self.database, lead_id), key=lambda one: one.id)
            calls = self.calls(lead_id)
            if len(calls) != len(attempts):
                found.append(f"lead {lead_id}: {len(calls)} calls, {len(attempts)} attempts")
                continue
            for call, attempt in zip(calls, attempts, strict=True):
                where = f"{call.number[-2:]} (attempt {attempt.id}, {attempt.outcome})"
                if len(call.branches) != 1:
                    found.append(f"{where}: {len(call.branches)} INVITE transactions")
                if (call.answered_at is None) != (attempt.answered_at is None):
                    found.append(f"{where}: answered {call.answered_at} and {attempt.answered_at}")
                elif call.answered_at is not None:
                    apart = abs(call.answered_at - attempt.answered_at.replace(tzinfo=None))
                    if apart > timedelta(seconds=1):
                        found.append(f"{where}: answered {apart.total_seconds():.1f} s apart")
                    talk = (call.ended_at - call.answered_at).total_seconds() if call.ended_at else None
                    if talk is not None and abs(talk - (attempt.talk_seconds or 0)) > 1.2:
                        found.append(f"{where}: talked {talk:.1f} s, not {attempt.talk_seconds}")
        return found
