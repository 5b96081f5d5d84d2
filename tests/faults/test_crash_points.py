"""Daemons that die by SIGKILL: at every named step of a dial, and at any instant."""

from __future__ import annotations

import pytest

from tests.faults.conftest import BuildHouse

pytestmark = pytest.mark.faults

STAGES = {
    "take": ("take.before_write", "take.before_commit", "take.after_commit"),
    "dial": ("dial.before_request", "dial.after_answer"),
    "answer": ("answer.before_write", "answer.before_commit", "answer.after_commit"),
    "outcome": ("outcome.before_write", "outcome.before_commit", "outcome.after_commit"),
    "upkeep": ("upkeep.before_commit",),
}


@pytest.mark.parametrize("stage", STAGES)
def test_kill_at_each_point_neither_loses_nor_repeats_a_call(stage: str, build_house: BuildHouse) -> None:
    house = build_house()
    for point in STAGES[stage] * 3:
        house.add_leads(10)
        house.kill_at(point)
    house.require_clean(least_calls=20)


@pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
def test_kill_at_random_instants_neither_loses_nor_repeats_a_call(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(100)
    house.kill_at_random(40, 3)
    house.require_clean(least_calls=300)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_kill_at_random_instants_on_sqlite(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(60)
    house.kill_at_random(15, 2)
    house.require_clean(least_calls=100)
