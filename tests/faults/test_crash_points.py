"""Daemons that die by SIGKILL: at every named step of a dial, and at any instant."""

from __future__ import annotations

import re

import pytest

from tests.faults.conftest import BuildHouse
from tests.faults.harness import POINTS, POINTS_OF_DIALS, ROOT

pytestmark = pytest.mark.faults
on_mariadb = pytest.mark.parametrize("engine", ["mariadb"], indirect=True)
on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def test_every_point_in_the_program_is_killed_at() -> None:
    sources = [path.read_text() for path in (ROOT / "scheduler").rglob("*.py")]
    named = {point for source in sources for point in re.findall(r"\breach\(\"([a-z_.]+)\"\)", source)}
    assert named == {point for points in POINTS.values() for point in points}


@on_mariadb
def test_kill_at_each_point_neither_loses_nor_repeats_a_call(build_house: BuildHouse) -> None:
    house = build_house()
    house.kill_at(*POINTS_OF_DIALS, leads_per_kill=8)
    house.require_clean(least_calls=50)


@on_sqlite
def test_kill_at_each_point_on_sqlite(build_house: BuildHouse) -> None:
    house = build_house()
    house.kill_at(*POINTS_OF_DIALS, leads_per_kill=8)
    house.require_clean(least_calls=50)


@on_mariadb
def test_kill_at_random_instants_neither_loses_nor_repeats_a_call(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(30)
    house.kill_at_random(6, 2, leads_per_kill=6)
    house.require_clean(least_calls=50)


@on_sqlite
def test_kill_at_random_instants_on_sqlite(build_house: BuildHouse) -> None:
    house = build_house()
    house.add_leads(30)
    house.kill_at_random(4, 2, leads_per_kill=6)
    house.require_clean(least_calls=40)
