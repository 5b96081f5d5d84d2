"""Every SIP ending over a real Asterisk, a trunk that goes away, a place that is not there: in half a minute."""

from __future__ import annotations

from pathlib import Path

from scheduler.model import Outcome
from tests.asterisk.house import LASTS, House
from tests.asterisk.pbx import Pbx, People
from tests.factories import call_of, lead_of

OUTAGE, HOLD = "outage", "hold"
ENDINGS: dict[int, str] = {
    1: Outcome.HANG_UP, 2: Outcome.COMPLETED, 3: Outcome.BUSY, 4: Outcome.NO_ANSWER, 5: Outcome.INVALID_NUMBER,
    6: Outcome.HANG_UP, 7: OUTAGE, 8: Outcome.NO_ANSWER, 9: Outcome.HANG_UP, 10: Outcome.HANG_UP,
    11: Outcome.COMPLETED, 12: Outcome.NO_ANSWER, 13: Outcome.NO_ANSWER, 14: Outcome.INVALID_NUMBER,
    15: Outcome.INVALID_NUMBER, 16: OUTAGE, 17: Outcome.BUSY, 18: Outcome.NO_ANSWER, 19: HOLD, 20: OUTAGE,
    21: Outcome.NO_ANSWER, 22: Outcome.INVALID_NUMBER, 23: Outcome.FAILED, 24: Outcome.FAILED, 25: Outcome.HANG_UP,
    26: OUTAGE, 27: OUTAGE, 28: OUTAGE, 29: HOLD, 30: Outcome.HANG_UP, 31: Outcome.INVALID_NUMBER,
    32: Outcome.FAILED, 33: Outcome.INVALID_NUMBER, 34: OUTAGE, 35: OUTAGE, 36: Outcome.COMPLETED,
}
OURS = {2, 36}
"""Those that would talk on: our maximum ends them."""


def test_every_ending_is_read_right_and_trouble_of_the_trunk_spends_nothing(tmp_path: Path, people: People, pbx: Pbx):
    with House(tmp_path / "house", people, pbx) as house:
        everybody = house.campaign("everybody")
        leads = {house.lead(everybody, ending): ending for ending in ENDINGS}
        short = house.lead(house.campaign("short", agent_id="limited,s"), 2, talk="2")
        checked = house.run("check", "--provider", "asterisk")
        daemon = house.start()
        house.wait_over([*leads, short])

        found = {}
        for lead_id, ending in leads.items():
            attempt = house.attempt(lead_id)
            spent = lead_of(house.database, lead_id).call_attempts_count
            found[ending] = attempt.outcome if spent else OUTAGE if "no way" in attempt.error else HOLD
        assert found == ENDINGS
        assert house.differences([*leads, short]) == []
        ours = house.attempt(short)
        assert (ours.outcome, ours.talk_seconds) == (Outcome.COMPLETED, 2)
        assert {ending for lead_id, ending in leads.items() if house.calls(lead_id)[0].ended_by == "us"} == OURS
        for lead_id in (one for one, ending in leads.items() if ending in OURS):
            assert LASTS <= house.attempt(lead_id).talk_seconds <= LASTS + 1

        # Nobody is there to talk: nobody is dialed, and everybody is told.
        nowhere = house.lead(house.campaign("nowhere", agent_id="nosuch,s"), 2)
        house.wait(lambda: (one := house.attempt(nowhere)) is not None and one.state not in ("placing", "live"))
        assert [call for call in house.calls(nowhere) if call.answered_at] == []
        assert lead_of(house.database, nowhere).call_attempts_count == 0

        # The trunk is gone, and nobody tells: it says nothing at all.
        people.stop()
        silent = [house.lead(house.campaign(f"silent{one}"), 2) for one in range(3)]
        house.wait_over(silent)
        assert [lead_of(house.database, one).call_attempts_count for one in silent] == [0, 0, 0]
        assert {call_of(house.database, one).status for one in silent} == {"pending"}
        assert "said nothing at all" in house.attempt(silent[0]).error
        daemon.terminate()
        assert daemon.wait(60) == 0
        assert "Traceback" not in house.said()
    assert "No call records" not in checked.stdout
    assert all(word in checked.stdout for word in ("Channel events are read", "ringback,s,1", "over a WebSocket"))
