"""A suite that cannot fail proves nothing: each of these broken dialers must turn the verdict red."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import HELD_SECONDS, House, Verdict, wait_until
from tests.faults.test_webhooks import HOOKS

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("engine", ["sqlite"], indirect=True)]


LOSING = {"faults": "reset_after_accept=0.15", "max_attempts": 1}


def test_repeating_a_request_is_noticed(build_house: BuildHouse) -> None:
    found = run_until_noticed(build_house(**LOSING), "repeat_on_timeout", "refs_with_two_calls")
    assert found.refs_asked_twice
    assert found.double_dials


def test_taking_unknown_for_failed_is_noticed(build_house: BuildHouse) -> None:
    run_until_noticed(build_house(**LOSING), "unknown_is_failed", "refused_but_called")


def test_taking_not_found_for_proof_is_noticed(build_house: BuildHouse) -> None:
    run_until_noticed(build_house(**LOSING), "not_found_is_proof", "refused_but_called")


def test_giving_an_expired_row_straight_back_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.kill_at("dial.after_answer")
    run_until_noticed(house, "give_back_at_once", "refused_but_called")


def test_a_request_before_its_intent_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(20)
    killed = house.start_daemon("dial.after_answer=kill", command=variant("request_before_intent"))
    wait_until(lambda: not killed.is_running, "it died with calls that nobody wrote down", house.tell)
    assert house.verdict().calls_without_attempt


def test_dialing_without_a_budget_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(5, campaign_id=house.add_campaign_closing_in(15))
    closes_at = house.database.now() + timedelta(seconds=16)
    frozen = house.start_daemon("dial.before_request=stop", command=variant("no_dial_budget"))
    wait_until(lambda: house.is_frozen(frozen), "it is frozen", house.tell)
    wait_until(
        lambda: house.database.now() > closes_at + house.sampler.late_tolerance + timedelta(seconds=0.5), "it is shut"
    )
    house.free(frozen)
    found = house.verdict()
    calls, attempts = house.simulator.calls(), house.read_attempts()
    late = [one for one in calls if one.ref in attempts and one.began > attempts[one.ref].dial_before]
    assert late, "calls began after their time"
    assert found.out_of_hours_dials


def test_a_dial_that_nobody_sees_to_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.kill_at("dial.before_request")
    house.wait_started(house.start_daemon(command=variant("forgets_leases"), is_sound=True))
    wait_until(lambda: house.sampler.stuck, "the sampler sees that they stand still")
    found = house.verdict()
    assert found.stuck_dials
    assert found.unresolved
    assert found.longest_stuck > HELD_SECONDS


def test_believing_whoever_posts_is_noticed(build_house: BuildHouse) -> None:
    found = run_until_noticed(build_house(**HOOKS), "trusts_everybody", "wrong_outcomes", receives=True)
    assert found.forged_taken


def test_answering_a_webhook_before_its_commit_is_noticed(build_house: BuildHouse) -> None:
    house = build_house(**HOOKS)
    house.add_leads(20)
    hasty = (*variant("answers_before_commit"), "--port", str(house.web_port))
    killed = house.start_daemon("inbox.before_commit=kill", command=hasty)
    wait_until(lambda: not killed.is_running, "it died with what it said it had", house.tell)
    assert house.verdict().taken_not_kept


def run_until_noticed(house: House, name: str, count: str, *, receives: bool = False) -> Verdict:
    """A broken daemon at work until the verdict's `count` is not zero any more: faults strike by chance."""

    def is_noticed() -> bool:
        if house.is_quiet():
            house.add_leads(20)
        return bool(getattr(house.verdict(), count))

    house.add_leads(20)
    command = variant(name) + (("--port", str(house.web_port)) if receives else ())
    house.wait_started(house.start_daemon(command=command))
    wait_until(is_noticed, f"{count} is noticed", house.tell, every=0.3)
    return house.verdict()


def variant(name: str) -> tuple[str, ...]:
    return ("-m", "tests.faults.variant_daemon", name)
