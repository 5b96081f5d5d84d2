"""The long fault run behind `make faults`: a thousand kills and every other fault, and one table.

    python -m tests.faults.long_run [--kills 1000] [--seed N] [--only WORD]

Every figure but the last must be zero. The last is the longest time that a dial of a dead or frozen process stood
still: on a quiet machine, the lease and a turn of upkeep. Zero in n trials means a rate below 3/n with 95 %
confidence. Exit code 1 when something is not as it must be; the seed is under the table, and the folder of a
red scenario, with its logs and ledger, is kept. What goes on is told on stderr.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import _sqlite_template
from tests.faults.conftest import empty_database, start_server
from tests.faults.harness import (
    HELD_SECONDS,
    POINTS_OF_DIALS,
    POINTS_OF_HOOKS,
    UPKEEP_SECONDS,
    House,
    Verdict,
    choose_seed,
    pause,
    wait_until,
)
from tests.faults.test_clocks_and_hours import dial_until_closing, work_with_clocks_off
from tests.faults.test_database_faults import BACK_WITHIN, must_dial_again, storm
from tests.faults.test_provider_faults import (
    STOLEN,
    STOLEN_ANNOUNCED,
    lose_answers,
    steal_identities,
    storm_with_refusals,
)
from tests.faults.test_webhooks import DOUBTFUL, HOOKS, doubt_events, kill_receivers
from tests.mariadb import PrivateMariaDB

ROUND = 100
"""Kills on one database before the verdict: a failure is then near its cause."""
AT_ONCE = 4
"""Daemons that die at the same time, each at a point of its own."""
POINTS = len(POINTS_OF_DIALS) + len(POINTS_OF_HOOKS)
COLUMNS = (
    ("fault", 38), ("injections", 10), ("double dials", 12), ("lost leads", 10), ("stuck leads", 11),
    ("out-of-hours dials", 18), ("longest stuck time (s)", 22),
)
IN_TABLE = frozenset({
    "calls", "samples", "refs_with_two_calls", "two_calls_to_one_phone", "lost_leads", "forgotten_leads",
    "unresolved", "stuck_dials", "out_of_hours_dials",
})


@dataclass(frozen=True)
class Scenario:
    """`act` returns how often the fault struck; `house` are options of the house that it strikes."""

    fault: str
    engine: str
    act: Callable[[House], int]
    house: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.fault}, {'MariaDB' if self.engine == 'mariadb' else 'SQLite'}"


def kills_at_points(times: int) -> Callable[[House], int]:
    def act(house: House) -> int:
        for _ in range(times):
            for at in range(0, len(POINTS_OF_DIALS), AT_ONCE):
                house.kill_at(*POINTS_OF_DIALS[at : at + AT_ONCE])
            for point in POINTS_OF_HOOKS:
                house.kill_at(point)
        house.start_daemon(options=house.with_web)
        return house.kills

    return act


def kills_at_random(times: int, daemons: int) -> Callable[[House], int]:
    def act(house: House) -> int:
        house.add_leads(60)
        house.kill_at_random(times, daemons)
        return house.kills

    return act


def kills_of_the_server(times: int) -> Callable[[House], int]:
    def act(house: House) -> int:
        house.start_daemons(2)
        for _ in range(times):
            house.add_leads(20)
            pause(house.random.uniform(0.2, 1.5))
            house.server.kill()
            pause(house.random.uniform(0, 2))
            house.server.start()
            must_dial_again(house, within=BACK_WITHIN)
        return times

    return act


def freezes(times: int) -> Callable[[House], int]:
    def act(house: House) -> int:
        daemons = house.start_daemons(3)
        for at in range(times):
            house.add_leads(20)
            one = house.random.choice(daemons)
            one.freeze()
            pause((1.5, 0.5, 0.2)[at % 3] * HELD_SECONDS)
            one.thaw()
            pause(0.5)
        return times

    return act


def misbehaving_webhooks(rounds: int) -> Callable[[House], int]:
    """Those that came twice, forged or to nobody, and the kills of receivers meanwhile."""

    def act(house: House) -> int:
        kills = kill_receivers(house, rounds)
        house.add_leads(60 * rounds)
        house.settle(300)
        genuine, forged = house.simulator.hooks("genuine"), house.simulator.hooks("forged")
        return kills + forged.total() + genuine[0] + house.count_doubled_hooks()

    return act


def refusals(house: House, leads: int) -> int:
    struck = storm_with_refusals(house, leads)
    wait_until(lambda: house.count_dialed() >= leads, "the last are dialed", house.tell)
    assert house.spent_without_call() == [], "a refusal costs no attempt"
    return struck


def many_leads(count: int) -> Callable[[House], int]:
    def act(house: House) -> int:
        house.add_leads(count, sharing=0)
        house.start_daemons(3, dialing_places=20)
        wait_until(lambda: house.count_dialed() >= count, "all leads were dialed", house.tell, seconds=900)
        return count

    return act


def list_scenarios(kills: int) -> Iterator[Scenario]:
    """A quarter of the kills is aimed, and no point is left out; the rest is random. A fifth is on SQLite.

    The other faults strike in proportion.
    """
    for engine, share in (("mariadb", 0.8), ("sqlite", 0.2)):
        aimed = max(1, round(kills * share / 4 / POINTS))
        for at in range(0, aimed, ROUND // POINTS):
            yield Scenario("killed at each point", engine, kills_at_points(min(ROUND // POINTS, aimed - at)), HOOKS)
        left = max(1, round(kills * share - aimed * POINTS))
        for at in range(0, left, ROUND):
            yield Scenario("killed at random", engine, kills_at_random(min(ROUND, left - at), 3))
    few = max(1, round(kills / 200))
    yield Scenario("frozen up to 1.5 leases", "mariadb", freezes(3 + 3 * few))
    yield Scenario("database killed and restarted", "mariadb", kills_of_the_server(6 * few))
    yield Scenario(
        "deadlock storm", "mariadb",
        lambda house: storm(house, house.server, daemons=8, leads=150, seconds=5 * few),
    )
    for engine in ("mariadb", "sqlite"):
        yield Scenario("webhooks", engine, misbehaving_webhooks(few), HOOKS)
    for engine in ("mariadb", "sqlite"):
        retell = {"vendor": "retell", "lag": (0, 3)}
        yield Scenario("start answers lost", engine, lambda house: lose_answers(house, 60, few), retell)
    yield Scenario(
        "stolen identity", "mariadb", lambda house: steal_identities(house, 60 * few), STOLEN
    )
    yield Scenario(
        "stolen identity, announced", "mariadb", lambda house: steal_identities(house, 60 * few), STOLEN_ANNOUNCED
    )
    for engine in ("mariadb", "sqlite"):
        yield Scenario("events that disagree", engine, lambda house: doubt_events(house, 60 * few), DOUBTFUL)
    yield Scenario("429 and 5xx", "mariadb", lambda house: refusals(house, 40), {"vendor": "retell"})
    yield Scenario("clock of a host off", "mariadb", work_with_clocks_off)
    yield Scenario("window closes", "mariadb", lambda house: dial_until_closing(house, 400))
    yield Scenario("several daemons, many leads", "mariadb", many_leads(10 * kills))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=choose_seed())
    parser.add_argument("--only", default="", help="scenarios whose name holds this word")
    options = parser.parse_args()
    chosen = [one for one in list_scenarios(options.kills) if options.only in one.name]
    lines: dict[str, tuple[int, Verdict]] = {}
    with start_server() as server:
        for number, one in enumerate(chosen):
            seed = options.seed + number
            tell(f"{number + 1}/{len(chosen)} {one.name} (seed {seed}) ...")
            struck, found = run(one, server, seed)
            tell(f"    struck {struck} times, {found.calls} calls: {found.red or 'as it must be'}")
            for example in found.examples:
                tell(f"    {example}")
            before = lines.get(one.name, (0, Verdict()))
            lines[one.name] = before[0] + struck, before[1] + found
    print_table(lines, options.seed)
    return int(any(found.red for _, found in lines.values()))


def run(scenario: Scenario, server: PrivateMariaDB, seed: int) -> tuple[int, Verdict]:
    folder = Path(tempfile.mkdtemp(prefix="faults"))
    url = f"sqlite:///{folder / 'ringback.db'}"
    if scenario.engine == "sqlite":
        (folder / "ringback.db").write_bytes(_sqlite_template())
    else:
        url = empty_database(server.url)
    house = House(url, folder, seed=seed, server=server, **scenario.house)
    struck, found, failure = 0, Verdict(), ""
    try:
        try:
            struck = scenario.act(house)
            house.settle(300)
        except AssertionError as error:
            failure = f"{error} (see {folder})"
        found = house.verdict()
        found.add("scenario_failed", [failure] if failure else [])
    finally:
        house.close()
    if found.red:
        found.examples.append(f"logs and ledger are in {folder}")
    else:
        shutil.rmtree(folder)
    return struck, found


def print_table(lines: Mapping[str, tuple[int, Verdict]], seed: int) -> None:
    """The one table, and under it what else is not zero."""
    print("  ".join(f"{name:<{width}}" if at == 0 else f"{name:>{width}}" for at, (name, width) in enumerate(COLUMNS)))
    for name, (struck, found) in lines.items():
        cells = (
            name, struck, found.double_dials, found.lost_leads, found.stuck_leads, found.out_of_hours_dials,
            f"{found.longest_stuck:.1f}",
        )
        print("  ".join(
            f"{cell:<{width}}" if at == 0 else f"{cell:>{width}}"
            for at, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=True))
        ))
    for name, (_, found) in lines.items():
        others = {key: count for key, count in found.red.items() if key not in IN_TABLE}
        if others:
            print(f"also, {name}: {others}")
    calls = sum(found.calls for _, found in lines.values())
    samples = sum(found.samples for _, found in lines.values())
    print(
        f"seed {seed}; {calls} calls; every promise asked {samples} times; a claim is held {HELD_SECONDS:g} s, and "
        f"upkeep turns every {UPKEEP_SECONDS:g} s"
    )


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
