"""The fake Retell, whose events disagree: with each other, and with themselves.

At the end of every call comes first, under the very key of the genuine end, one that names the reference of another
call and says that this one was completed; then, where somebody was reached, one that says that nobody answered; then
the truth. All of them are signed: only what they say gives them away. What can be asked for is always the truth.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from scheduler.providers.simulator_server import Call
from tests.providers.fakes import vendor
from tests.providers.fakes.retell import Retell
from tests.providers.fakes.vendor import Hook

LIE_AFTER, TRUTH_AFTER = timedelta(milliseconds=50), timedelta(milliseconds=600)


class DoubtfulRetell(Retell):
    def hooks_of(self, call: Call) -> Sequence[tuple[datetime, Callable[[], Hook | None]]]:
        *started, (ended_at, end), analyzed = super().hooks_of(call)
        fate = self.exchange._network.fate(call.token)
        lies = [(ended_at + LIE_AFTER, lambda: self._lie(call))] if fate.answered else []
        return [
            *started, (ended_at, lambda: self._of_another(call)), *lies, (ended_at + TRUTH_AFTER, end),
            (analyzed[0] + TRUTH_AFTER, analyzed[1]),
        ]

    def _of_another(self, call: Call) -> Hook:
        """The end of this call, with the reference of the one that was placed after or before it."""
        calls = self.calls()
        at = calls.index(call)
        other = calls[at + 1] if at + 1 < len(calls) else calls[at - 1]
        ended = {"call_status": "ended", "disconnection_reason": "agent_hangup", "duration_ms": 60_000}
        return self._told(call, {**ended, "metadata": {"attempt_ref": other.attempt_ref}})

    def _lie(self, call: Call) -> Hook:
        return self._told(call, {
            "call_status": "not_connected", "disconnection_reason": "dial_no_answer", "duration_ms": 0,
            "start_timestamp": None, "transcript": None,
        })

    def _told(self, call: Call, fields: dict[str, Any]) -> Hook:
        row = self.row(call, self.clock.now(), analyzed=False) | fields
        body = json.dumps({"event": "call_ended", "call": row}, separators=(",", ":")).encode()
        return self.signed(body, f"call_ended {self.id_of(call)}", self._hook_path(call))


def main() -> None:
    vendor.main(DoubtfulRetell)


if __name__ == "__main__":
    main()
