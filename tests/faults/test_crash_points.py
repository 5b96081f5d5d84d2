"""Daemons that die by SIGKILL: at every named step of a dial, and at any instant."""

from __future__ import annotations

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import POINTS

pytestmark = pytest.mark.faults
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@on_mariadb
@pytest.mark.parametrize("stage", POINTS)
def test_kill_at_each_point_neither_loses_nor_repeats_a_call(stage: str, build_house: BuildHouse) -> None:
    house = build_house()
    for point in POINTS[stage] * 2:
        house.add_leads(10)
        house.kill_at(point)
    house.require_clean(least_calls=15)


@on_sqlite
def test_kill_at_each_point_on_sqlite(build_house: BuildHouse) -> None:
    house = build_house()
    for point in [point for points in POINTS.values() for point in points]:
        house.add_leads(10)
        house.kill_at(point)
    house.require_clean(least_calls=60)


@on_mariadb
def test_kill_at_random_instants_neither_loses_nor_repeats_a_call(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(60)
    house.kill_at_random(30, 3, leads_per_kill=8)
    house.require_clean(least_calls=200)


@on_sqlite
def test_kill_at_random_instants_on_sqlite(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(60)
    house.kill_at_random(10, 2)
    house.require_clean(least_calls=100)
