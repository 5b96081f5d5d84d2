"""A suite that cannot fail proves nothing: each of these broken dialers must turn the verdict red."""

from __future__ import annotations

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import LEASE_SECONDS, House, Verdict, pause, wait_until
from tests.faults.test_webhooks import HOOKS

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("engine", ["sqlite"], indirect=True)]


def test_a_healthy_daemon_is_found_healthy(build_house: BuildHouse) -> None:
    house = build_house(faults="reset_after_accept=0.15")
    house.add_leads(40)
    house.start_daemons(1)
    house.require_clean(least_calls=30)


def test_repeating_a_request_is_noticed(build_house: BuildHouse) -> None:
    found = run_variant(build_house(faults="reset_after_accept=0.15"), "repeat_on_timeout")
    assert found.refs_with_two_calls
    assert found.refs_asked_twice


def test_taking_unknown_for_failed_is_noticed(build_house: BuildHouse) -> None:
    found = run_variant(build_house(faults="reset_after_accept=0.15"), "unknown_is_failed")
    assert found.refused_but_called


def test_taking_not_found_for_proof_is_noticed(build_house: BuildHouse) -> None:
    found = run_variant(build_house(faults="reset_after_accept=0.15"), "not_found_is_proof")
    assert found.refused_but_called


def test_giving_an_expired_row_straight_back_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(20)
    house.kill_at("dial.after_answer")
    found = run_variant(house, "give_back_at_once")
    assert found.refused_but_called


def test_a_request_before_its_intent_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(20)
    killed = house.start_daemon("dial.after_answer=kill", command=variant("request_before_intent"))
    wait_until(lambda: not killed.is_running, 30, "it died with calls that nobody wrote down", house.tell)
    house.settle()
    assert house.verdict().calls_without_attempt


def test_dialing_without_a_budget_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(5, campaign_id=house.add_campaign_closing_in(6))
    frozen = house.start_daemon("dial.before_request=stop", command=variant("no_dial_budget"))
    wait_until(lambda: house.is_frozen(frozen), 30, "it is frozen", house.tell)
    house.start_daemons(1)
    pause(LEASE_SECONDS + 1.5)
    house.free(frozen)
    house.settle()
    found = house.verdict()
    calls, attempts = house.simulator.calls(), house.read_attempts()
    late = [one for one in calls if one.ref in attempts and one.began > attempts[one.ref].dial_before]
    assert late, "calls began after their time"
    assert found.out_of_hours_dials


def test_a_dial_that_nobody_sees_to_is_noticed(build_house: BuildHouse) -> None:
    house = build_house()
    house.kill_at("dial.before_request")
    house.wait_started(house.start_daemon(command=variant("forgets_leases"), is_sound=True))
    wait_until(lambda: house.sampler.stuck, LEASE_SECONDS + 15, "the sampler sees that they stand still")
    house.sampler.ask()
    found = house.verdict()
    assert found.stuck_dials
    assert found.unresolved
    assert found.longest_stuck > LEASE_SECONDS


def test_believing_whoever_posts_is_noticed(build_house: BuildHouse) -> None:
    found = run_variant(build_house(**HOOKS), "trusts_everybody", receives=True)
    assert found.forged_taken
    assert found.wrong_outcomes


def test_answering_a_webhook_before_its_commit_is_noticed(build_house: BuildHouse) -> None:
    house = build_house(**HOOKS)
    house.add_leads(20)
    hasty = (*variant("answers_before_commit"), "--port", str(house.web_port))
    killed = house.start_daemon("inbox.before_commit=kill", command=hasty)
    wait_until(lambda: not killed.is_running, 30, "it died with what it said it had", house.tell)
    house.settle()
    assert house.verdict().taken_not_kept


def run_variant(house: House, name: str, *, receives: bool = False) -> Verdict:
    house.add_leads(40)
    command = variant(name) + (("--port", str(house.web_port)) if receives else ())
    house.wait_started(house.start_daemon(command=command))
    house.settle()
    return house.verdict()


def variant(name: str) -> tuple[str, ...]:
    return ("-m", "tests.faults.variant_daemon", name)
