"""The long fault run behind `make faults`: a thousand kills and every other fault, and one table.

    python -m tests.faults.long_run [--kills 1000] [--seed N] [--only WORD]

Zero in n trials means a rate below 3/n with 95 % confidence. Exit code 1 when a count that must be zero
is not; the seed is in the table, and the folder of a red scenario, with its logs and ledger, is kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.conftest import _sqlite_template
from tests.faults.conftest import empty_database
from tests.faults.harness import LEASE_SECONDS, POINTS, House, Verdict, choose_seed, pause, wait_until
from tests.faults.test_database_faults import must_dial_again
from tests.faults.test_provider_faults import LOST, NOT_MADE
from tests.mariadb import PrivateMariaDB

ALL_POINTS = [point for points in POINTS.values() for point in points]
ROUND = 100
"""Kills on one database before the verdict: a failure is then near its cause."""

Scenario = Callable[[House], int]


def kills_at_points(times: int) -> Scenario:
    def act(house: House) -> int:
        for _ in range(times):
            for point in ALL_POINTS:
                house.add_leads(10)
                house.kill_at(point)
        return house.kills

    return act


def kills_at_random(times: int, daemons: int) -> Scenario:
    def act(house: House) -> int:
        house.add_leads(60)
        house.kill_at_random(times, daemons)
        return house.kills

    return act


def kills_of_the_server(house: House) -> int:
    house.start_daemons(2)
    for _ in range(30):
        house.add_leads(20)
        pause(house.random.uniform(0.2, 1.5))
        house.server.kill()
        pause(house.random.uniform(0, 2))
        house.server.start()
        must_dial_again(house)
    return 30


def freezes(house: House) -> int:
    daemons = house.start_daemons(3)
    for _ in range(20):
        house.add_leads(20)
        one = house.random.choice(daemons)
        one.freeze()
        pause(house.random.choice((0.2, 0.5, 1.5)) * LEASE_SECONDS)
        one.thaw()
        pause(0.5)
    return 20


def lost_answers(house: House) -> int:
    house.simulator.behave(faults=f"{LOST},{NOT_MADE},lookup_error=0.1", lookup_lag_seconds=[0, 3])
    house.add_leads(600)
    house.start_daemons(3)
    wait_until(lambda: house.count_dialed() >= 550, 300, "most leads were dialed", house.tell)
    house.simulator.behave(faults="")
    return 600


def ten_thousand_leads(house: House) -> int:
    house.add_leads(10_000, sharing=0)
    house.start_daemons(3, dialing_places=20)
    wait_until(lambda: house.count_dialed() >= 10_000, 900, "all leads were dialed", house.tell)
    return 10_000


def list_scenarios(kills: int) -> Iterator[tuple[str, str, Scenario]]:
    """(name, engine, what strikes). A quarter of the kills is aimed, the rest random; a fifth is on SQLite."""
    for engine, share in (("mariadb", 0.8), ("sqlite", 0.2)):
        aimed = max(1, round(kills * share / 4 / len(ALL_POINTS)))
        for at in range(0, aimed, ROUND // len(ALL_POINTS)):
            yield "killed at points", engine, kills_at_points(min(ROUND // len(ALL_POINTS), aimed - at))
        left = round(kills * share * 3 / 4)
        for at in range(0, left, ROUND):
            yield "killed at random", engine, kills_at_random(min(ROUND, left - at), 3)
    yield "server killed", "mariadb", kills_of_the_server
    yield "frozen", "mariadb", freezes
    for engine in ("mariadb", "sqlite"):
        yield "answers lost", engine, lost_answers
    yield "10,000 leads", "mariadb", ten_thousand_leads


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=choose_seed())
    parser.add_argument("--only", default="", help="scenarios whose name holds this word")
    options = parser.parse_args()
    chosen = [one for one in list_scenarios(options.kills) if options.only in f"{one[0]} {one[1]}"]
    names = list(Verdict().counts)
    print("scenario           engine   seed    trials  " + "  ".join(names), flush=True)
    is_red = False
    with PrivateMariaDB(durable=True) as server:
        for number, (name, engine, scenario) in enumerate(chosen):
            seed = options.seed + number
            trials, found = run(scenario, engine, server, seed)
            is_red = is_red or bool(found.red)
            cells = "  ".join(f"{found.counts[one]:>{len(one)}}" for one in names)
            print(f"{name:<18} {engine:<8} {seed:<7} {trials:>6}  {cells}", flush=True)
            for example in found.examples:
                print(f"    {example}", flush=True)
    return int(is_red)


def run(scenario: Scenario, engine: str, server: PrivateMariaDB, seed: int) -> tuple[int, Verdict]:
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    url = f"sqlite:///{folder / 'ringback.db'}"
    if engine == "sqlite":
        (folder / "ringback.db").write_bytes(_sqlite_template())
    else:
        url = empty_database(server)
    house = House(url, folder, seed=seed, server=server)
    trials, found = 0, Verdict()
    try:
        trials = scenario(house)
        house.settle(300)
        found = house.verdict()
    except AssertionError as error:
        found.add("unresolved", [f"{error} (see {folder})"])
    finally:
        house.close()
    if not found.red:
        shutil.rmtree(folder)
    return trials, found


if __name__ == "__main__":
    sys.exit(main())
