"""What breaks: Asterisk, the daemon, the trunk, the connection for events, the call records. SIP's log is the judge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from websockets.sync.client import connect

from scheduler.model import Outcome
from scheduler.store import tables
from scheduler.store.cdr import ChannelEvents
from tests.asterisk.house import LASTS, House
from tests.asterisk.pbx import CONFIGURATION, PASSWORD, Pbx, People
from tests.asterisk.relay import Relay
from tests.asterisk.test_short import ENDINGS, HOLD, OUTAGE
from tests.conftest import started
from tests.factories import attempts_of, call_of, find_all, lead_of
from tests.waiting import wait_until

pytestmark = pytest.mark.asterisk
NO_EVENTS = "ws://127.0.0.1:9"
INVITE_LIVES = 35
"""Seconds for which Asterisk sends an INVITE again that nobody answered, whatever became of its channel (timer B)."""
MADE = ("ended", "live", "unknown")


@pytest.mark.parametrize("records", ["cel", "cdr"])
def test_a_lost_start_is_never_dialed_again_after_a_crash_of_both(
    tmp_path: Path, people: People, pbx: Pbx, records: str
):
    """The answers of the starts are lost, the box loses its power: one person had answered, one phone rang."""
    keys = {"ASTERISK_EVENTS_URL": NO_EVENTS, "ASTERISK_CEL_URL": "", "ASTERISK_CDR_URL": "",
            f"ASTERISK_{records.upper()}_URL": pbx.records_url(records)}  # fmt: skip
    with Relay(pbx.port, "answers") as relay, House(tmp_path / "house", people, pbx, **keys) as house:
        campaign = house.campaign("lost", max_attempts=2)
        leads = [house.lead(campaign, ending) for ending in (2, 8)]
        daemon = house.start(ASTERISK_URL=relay.url)
        recorded = ChannelEvents(pbx.records_url("cel"))
        house.wait(lambda: relay.lost == 2)
        refs = [one.attempt_ref for one in find_all(house.database, tables.call_attempts)]
        house.wait(lambda: "ANSWER" in {row["eventtype"] for row in recorded(refs)})
        daemon.kill()
        pbx.kill()
        daemon.wait()
        pbx.start()
        house.start()
        house.wait_over(leads)

        for lead_id in leads:
            (attempt,) = attempts_of(house.database, lead_id)[:1]
            assert attempt.state == "ended", "it was made, whatever the records say"
            assert len(house.calls(lead_id)) == len(attempts_of(house.database, lead_id))
        answered = attempts_of(house.database, leads[0])[0]
        if records == "cel":
            assert answered.outcome == Outcome.COMPLETED
            assert len(house.calls(leads[0])) == 1


def test_a_start_that_never_came_to_asterisk_is_given_back(tmp_path: Path, people: People, pbx: Pbx):
    with Relay(pbx.port, "requests") as relay, House(tmp_path / "house", people, pbx) as house:
        lead_id = house.lead(house.campaign("lost"), 3)
        house.start(ASTERISK_URL=relay.url)
        house.wait(lambda: relay.lost)
        relay.loses = None
        house.wait(lambda: lead_of(house.database, lead_id).call_attempts_count == 1)

        assert [one.state for one in attempts_of(house.database, lead_id)] == ["refused", "ended"]
        assert len(house.calls(lead_id)) == 1


def test_a_call_that_is_answered_while_no_daemon_runs_is_as_long_as_it_was(tmp_path: Path, people: People, pbx: Pbx):
    with House(tmp_path / "house", people, pbx) as house:
        campaign = house.campaign("gap")
        leads = [house.lead(campaign, ending) for ending in (37, 11, 9)]
        daemon = house.start()
        house.wait(lambda: len(house.calls()) == len(leads))
        daemon.kill()
        daemon.wait()
        wait_until(lambda: all(call.answered_at for call in house.calls()))
        house.start()
        house.wait_over(leads)

        assert house.differences(leads) == []
        assert {house.attempt(one).outcome for one in leads[:2]} == {Outcome.COMPLETED}


@pytest.mark.parametrize("how", ["kill", "core restart now", "core stop now"])
def test_asterisk_goes_away_in_the_middle(tmp_path: Path, people: People, pbx: Pbx, how: str):
    with House(tmp_path / "house", people, pbx) as house:
        campaign = house.campaign("away", max_attempts=2, outcomes={"failed": {"delay_hours": 0.002}})
        leads = [house.lead(campaign, ending) for ending in (2, 8, 11, 12, 13, 36, 37, 1, 9, 3) * 2]
        house.start()
        house.wait(lambda: len([call for call in house.calls() if call.answered_at]) >= 4)
        if how == "kill":
            pbx.kill()
            pbx.start()
        else:
            pbx.cli(how)
            if "stop" in how:
                pbx.kill()
                pbx.start()
        house.wait_over(leads)
        house.wait(lambda: not [one for one in find_all(house.database, tables.call_attempts) if one.state in MADE[1:]])

        for lead_id in leads:
            made = [one for one in attempts_of(house.database, lead_id) if one.state in MADE]
            refused = [one for one in attempts_of(house.database, lead_id) if one.state == "refused"]
            assert len(made) <= len(house.calls(lead_id)) <= len(made) + len(refused), f"lead {lead_id}"
            assert all(len(call.branches) == 1 for call in house.calls(lead_id))
        assert "Traceback" not in house.said()
        assert "broken by" not in house.run("check").stdout


@pytest.mark.parametrize("records", ["cel in a file", "cdr in a file", "cel in a database"])
def test_without_events_the_records_tell(tmp_path: Path, people: People, records: str):
    """Channel events tell the cause; detail records tell busy and 503 from all else."""
    with _recording(tmp_path, people, records) as pbx:
        kind = records[:3]
        keys = {"ASTERISK_EVENTS_URL": NO_EVENTS, "ASTERISK_CEL_URL": "", "ASTERISK_CDR_URL": ""}
        keys |= {f"ASTERISK_{kind.upper()}_URL": pbx.records_url(kind)}
        with House(tmp_path / "house", people, pbx, **keys) as house:
            campaign = house.campaign("deaf")
            leads = {house.lead(campaign, ending): ending for ending in ENDINGS}
            house.start()
            house.wait_over(leads)
            found = {}
            for lead_id, ending in leads.items():
                spent = lead_of(house.database, lead_id).call_attempts_count
                attempt = house.attempt(lead_id)
                found[ending] = attempt.outcome if spent else OUTAGE if "no way" in attempt.error else HOLD
            house.wait(lambda: "no connection for events" in house.run("alerts").stdout)
            said = house.said()

    refusals = {ending for ending, told in ENDINGS.items() if told in (OUTAGE, HOLD)}
    if kind == "cel":  # a cause has no SIP code: 403 is a refusal like 603, 607 is nothing that is known
        unlike = {19: Outcome.HANG_UP, 29: Outcome.HANG_UP, 25: Outcome.FAILED, 30: Outcome.FAILED,
                  35: Outcome.FAILED}  # fmt: skip
        assert found == {**ENDINGS, **unlike}
    else:
        answered = {1, 2, 9, 10, 11, 36}
        assert {one: found[one] for one in answered} == {one: ENDINGS[one] for one in answered}
        assert {found[one] for one in (3, 17)} == {Outcome.BUSY}
        assert {found[one] for one in (7, 20)} == {OUTAGE}
        assert {found[one] for one in refusals - {7, 20}} <= {Outcome.NO_ANSWER, OUTAGE}
    assert "no connection for events" in said


@contextmanager
def _recording(tmp_path: Path, people: People, records: str) -> Iterator[Pbx]:
    if "database" not in records:
        with Pbx(tmp_path / "pbx", people.port) as pbx:
            yield pbx
        return
    with started() as server:
        script = (CONFIGURATION / "records.sql").read_text().replace("'localhost'", "'%'")
        with server.connect() as connection, connection.cursor() as cursor:
            for statement in script.split(";\n"):
                if "".join(line for line in statement.splitlines() if not line.startswith("--")).strip():
                    cursor.execute(statement)
        with Pbx(tmp_path / "pbx", people.port, odbc=server.port) as pbx:
            yield pbx


def test_a_trunk_that_is_offline_holds_the_provider_and_no_row(tmp_path: Path, people: People):
    pbx = Pbx(tmp_path / "pbx", people.port)
    pbx.qualify = 1  # nobody answers it
    with pbx, House(tmp_path / "house", people, pbx) as house:
        house.wait(lambda: "offline" in house.run("check", "--provider", "asterisk").stdout)
        campaign = house.campaign("off")
        leads = [house.lead(campaign, 1) for _ in range(3)]
        house.start()
        house.wait(lambda: "is offline" in house.run("alerts").stdout)

        assert house.calls() == []
        assert {(call_of(house.database, one).status, call_of(house.database, one).hold) for one in leads} == {
            ("pending", None)
        }


@pytest.mark.parametrize("where", ["unlimited,s", "app:robot"])
def test_the_maximum_counts_from_the_answer_where_nobody_else_keeps_it(
    tmp_path: Path, people: People, pbx: Pbx, where: str
):
    address = f"{pbx.url.replace('http', 'ws', 1)}/ari/events?app=robot&api_key=ringback:{PASSWORD}"
    with connect(address) as robot, House(tmp_path / "house", people, pbx) as house:
        Thread(target=lambda: [None for _ in robot], daemon=True).start()
        lead_id = house.lead(house.campaign("long", agent_id=where), 2)
        house.start()
        house.wait_over([lead_id])
        (call,) = house.calls(lead_id)
        assert call.answered_at is not None
        wait_until(lambda: house.calls(lead_id)[0].ended_at is not None)
        (call,) = house.calls(lead_id)
        assert call.ended_by == "us"
        assert call.ended_at is not None
        assert call.answered_at is not None
        assert LASTS <= (call.ended_at - call.answered_at).total_seconds() < LASTS + 1.5
        assert house.attempt(lead_id).outcome == Outcome.COMPLETED


def test_who_stops_a_ringing_call_is_told(tmp_path: Path, people: People, pbx: Pbx):
    with House(tmp_path / "house", people, pbx) as house:
        campaign = house.campaign("stopped", ring_timeout=30)
        by_us, at_the_pbx = house.lead(campaign, 8), house.lead(campaign, 8)
        house.start()
        house.wait(lambda: all(one and one.state == "live" for one in map(house.attempt, (by_us, at_the_pbx))))
        assert house.run("calls", "hangup", str(house.attempt(by_us).id)).returncode == 0
        house.wait_over([by_us])
        for line in pbx.cli("core show channels concise").splitlines():
            pbx.cli(f"channel request hangup {line.split('!')[0]}")
        house.wait_over([at_the_pbx])

        assert {house.attempt(one).outcome for one in (by_us, at_the_pbx)} == {Outcome.CANCELLED}
        assert all(call.cancelled for call in house.calls())


def test_calls_end_though_no_record_of_them_can_be_read(tmp_path: Path, people: People, pbx: Pbx):
    keys = {"ASTERISK_EVENTS_URL": NO_EVENTS, "ASTERISK_CEL_URL": f"sqlite:///{tmp_path / 'nothing.db'}"}
    with House(tmp_path / "house", people, pbx, **keys) as house:
        campaign = house.campaign("unread")
        leads = [house.lead(campaign, ending) for ending in (1, 3, 36)]
        assert "could not be read" in house.run("check", "--provider", "asterisk").stdout
        house.start()
        house.wait_over(leads)
        house.wait(lambda: "could not be read" in house.run("alerts").stdout)


def test_two_ringbacks_on_one_asterisk_leave_each_other_alone(tmp_path: Path, people: People, pbx: Pbx):
    with House(tmp_path / "one", people, pbx) as one, House(tmp_path / "two", people, pbx) as two:
        two._numbers = 500
        first, second = one.campaign("one"), two.campaign("two")
        mine = [one.lead(first, ending) for ending in (1, 3)]
        theirs = [two.lead(second, ending) for ending in (1, 3)]
        for house in (one, two):
            house.start()
        one.wait_over(mine)
        two.wait_over(theirs)

        for house, leads in ((one, mine), (two, theirs)):
            refs = {house.attempt(lead_id).attempt_ref for lead_id in leads}
            kept = {event.attempt_ref for event in find_all(house.database, tables.provider_events)}
            assert kept <= refs
        assert [one.attempt(lead_id).outcome for lead_id in mine] == [Outcome.HANG_UP, Outcome.BUSY]


@pytest.mark.parametrize("keys", [{"ASTERISK_CONTEXT": "nosuch"}, {"ASTERISK_APP": "robot"}])
def test_nobody_is_called_while_nobody_is_there_to_talk(
    tmp_path: Path, people: People, pbx: Pbx, keys: dict[str, str]
):
    with House(tmp_path / "house", people, pbx, **keys) as house:
        checked = house.run("check", "--provider", "asterisk").stdout
        house.lead(house.campaign("nowhere"), 2)
        house.start()
        house.wait(lambda: "to talk to whoever answers" in house.run("alerts").stdout)

        assert house.calls() == []
        assert "would be cut off" in checked.replace("\n", " ")


def test_a_dead_trunk_spends_nothing_and_is_called_over_again_when_it_is_back(tmp_path: Path, people: People, pbx: Pbx):
    people.stop()
    with House(tmp_path / "house", people, pbx) as house:
        campaign = house.campaign("dead")
        leads = [house.lead(campaign, 10) for _ in range(8)]
        house.start()
        house.wait(lambda: "left alone" in house.run("alerts").stdout)
        assert {lead_of(house.database, one).call_attempts_count for one in leads} == {0}
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > INVITE_LIVES)
        people.start()
        house.wait(lambda: all(lead_of(house.database, one).call_attempts_count == 1 for one in leads))

        assert {house.attempt(one).outcome for one in leads} == {Outcome.HANG_UP}
        assert [len(house.calls(one)) for one in leads] == [1] * len(leads)
