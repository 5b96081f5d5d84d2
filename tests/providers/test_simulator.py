from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest

from scheduler.clock import ManualClock, SystemClock
from scheduler.config import Settings
from scheduler.errors import DatabaseUnavailable, InvalidValue
from scheduler.model import Outcome
from scheduler.providers.base import Accepted, Phase, RefusalKind, Refused, Unanswered
from scheduler.providers.network import FaultPlan, SimulatedNetwork, parse_faults, parse_mix
from scheduler.providers.registry import open_provider
from scheduler.providers.simulator import Simulator
from scheduler.providers.simulator_http import HttpSimulator
from tests.providers.contract import LONG_AFTER, NOON, Line, ProviderContract, key, request

MIX = "completed=4,no_answer=2,busy=1,voicemail=1,hang_up=1,callback=1"


class TestSimulatorKeepsTheContract(ProviderContract):
    @pytest.fixture
    def line(self) -> Iterator[Line]:
        clock = ManualClock(NOON)
        provider = simulator(clock)

        def misbehave(faults: str) -> None:
            provider.faults = FaultPlan(parse_faults(faults), seed=1)

        def calls_made(attempt_ref: str) -> int:
            return sum(call.attempt_ref == attempt_ref for call in provider.held_calls())

        yield Line(provider, clock, misbehave, calls_made)


def test_a_second_request_for_one_reference_makes_a_second_call():
    provider = simulator(ManualClock(NOON))

    first, second = provider.place(request("twice")), provider.place(request("twice"))

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.call_id != second.call_id
    assert (provider.started, provider.accepted) == (2, 2)


def test_refused_requests_are_counted_as_started():
    provider = simulator(ManualClock(NOON), faults="hold=1")

    provider.place(request("a"))

    assert (provider.started, provider.accepted) == (1, 0)


def test_without_durations_the_answer_already_tells_the_end():
    provider = simulator(ManualClock(NOON), ring=0, talk=0)

    answer = provider.place(request("quick"))

    assert isinstance(answer, Accepted)
    assert answer.report is not None
    assert answer.report.phase is Phase.ENDED
    assert answer.report.attempt_ref == "quick"
    assert answer.report.call_id == answer.call_id
    assert answer.report.ended_at == NOON


def test_a_call_of_an_earlier_process_is_told_from_its_id():
    clock = ManualClock(NOON)
    before, after = simulator(clock), simulator(clock)
    ids = [before.place(request(f"ref-{number}")).call_id for number in range(50)]
    keys = [key(f"ref-{number}", call_id) for number, call_id in enumerate(ids)]

    for _ in range(12):
        assert after.poll(keys, clock.now()) == before.poll(keys, clock.now())
        clock.advance(timedelta(seconds=10))


def test_a_call_of_an_earlier_process_without_a_time_is_over():
    provider = simulator(ManualClock(NOON))

    report = provider.poll([key("old", "sim-old", placed_at=None)], NOON)["sim-old"]

    assert report is not None
    assert (report.phase, report.ended_at) == (Phase.ENDED, NOON)


def test_a_stopped_call_stays_stopped():
    clock = ManualClock(NOON)
    provider = simulator(clock, mix="completed=1")
    answer = provider.place(request("a"))
    clock.advance(timedelta(seconds=1))
    provider.hang_up(answer.call_id)
    clock.advance(LONG_AFTER)

    report = provider.poll([key("a", answer.call_id)], clock.now())[answer.call_id]

    assert (report.outcome, report.ended_at) == (Outcome.NO_ANSWER, NOON + timedelta(seconds=1))


def test_a_call_whose_end_was_told_long_ago_is_still_found_by_reference():
    clock = ManualClock(NOON)
    provider = simulator(clock, ring=0, talk=0, keep_ended=10)
    first = provider.place(request("first"))
    for number in range(1000):
        provider.place(request(f"later-{number}"))

    found = provider.find(key("first"), clock.now())

    assert len(list(provider.held_calls())) == 10
    assert found == first.report
    assert provider.find(key("never"), clock.now()) is None


def test_a_call_whose_end_nobody_asked_for_is_kept():
    clock = ManualClock(NOON)
    provider = simulator(clock, keep_ended=1)
    for number in range(20):
        provider.place(request(f"silent-{number}"))
    clock.advance(LONG_AFTER)

    assert len(list(provider.held_calls())) == 20


def test_an_end_told_many_times_is_one_end():
    clock = ManualClock(NOON)
    provider = simulator(clock, keep_ended=3)
    answer = provider.place(request("a"))
    clock.advance(LONG_AFTER)
    for _ in range(10):
        provider.poll([key("a", answer.call_id)], clock.now())

    assert [call.attempt_ref for call in provider.held_calls()] == ["a"]


def test_memory_stays_flat_over_many_calls():
    provider = simulator(SystemClock(), ring=0, talk=0)
    tracemalloc.start()
    try:
        dial(provider, "warm", 3000)
        before, _ = tracemalloc.get_traced_memory()
        dial(provider, "many", 20_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 100_000


def test_memory_is_bounded_even_when_no_end_is_ever_asked_for():
    provider = simulator(ManualClock(NOON), keep_most=100)
    dial(provider, "silent", 300)

    assert len(list(provider.held_calls())) == 100
    assert provider.find(key("silent-0"), NOON) is not None


def test_a_lookup_succeeds_again_after_it_failed():
    provider = simulator(ManualClock(NOON), faults="lookup_error=0.5")
    answers = []
    for _ in range(40):
        try:
            answers.append(provider.find(key("never"), NOON))
        except Exception as error:
            answers.append(type(error).__name__)

    assert set(answers) == {None, "ProviderError"}


def test_throttling_says_how_long_to_wait():
    answer = simulator(ManualClock(NOON), faults="throttle=1").place(request("a"))

    assert isinstance(answer, Refused)
    assert answer.retry_after == timedelta(seconds=2)


def test_a_simulated_time_out_is_answered_at_once():
    answer = simulator(ManualClock(NOON), faults="timeout_after_accept=1").place(request("a"))

    assert answer == Unanswered("simulated timeout_after_accept: whether a call was made is not known")


def test_a_clock_that_cannot_be_read_is_a_dial_that_was_never_sent():
    class Away:
        def now(self):
            raise DatabaseUnavailable

    provider = simulator(Away())
    answer = provider.place(request("a"))

    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.NEVER_SENT
    assert provider.accepted == 0


def test_open_provider_gives_the_simulator_of_the_settings():
    settings = Settings(simulator_mix="busy=1", simulator_ring_seconds=0, simulator_talk_seconds=0)
    answer = open_provider("simulator", settings, ManualClock(NOON)).place(request("a"))

    assert isinstance(answer, Accepted)
    assert answer.report is not None
    assert answer.report.outcome is Outcome.BUSY


def test_open_provider_gives_the_adapter_when_there_is_an_address():
    provider = open_provider("simulator", Settings(simulator_url="http://127.0.0.1:9"), ManualClock(NOON))

    assert isinstance(provider, HttpSimulator)
    provider.close()


def test_open_provider_refuses_a_name_and_says_which_are_known():
    with pytest.raises(InvalidValue, match="simulator"):
        open_provider("smoke-signals", Settings(), ManualClock(NOON))


def test_open_provider_refuses_a_bad_mix():
    with pytest.raises(InvalidValue, match="RINGBACK_SIMULATOR_MIX"):
        open_provider("simulator", Settings(simulator_mix="busy"), ManualClock(NOON))


def test_the_simulator_in_memory_needs_no_http_library():
    program = (
        "import sys; from scheduler.providers.registry import open_provider; "
        "from scheduler.config import Settings; from scheduler.clock import SystemClock; "
        "open_provider('simulator', Settings(), SystemClock()); print('httpx' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "False"


def dial(provider: Simulator, name: str, times: int) -> None:
    for number in range(times):
        provider.place(request(f"{name}-{number}"))


def simulator(clock, *, mix: str = MIX, ring: float = 10, talk: float = 30, faults: str = "", **limits: int):
    network = SimulatedNetwork(seed=1, mix=parse_mix(mix), ring=timedelta(seconds=ring), talk=timedelta(seconds=talk))
    return Simulator(network, clock, FaultPlan(parse_faults(faults), seed=1), **limits)
