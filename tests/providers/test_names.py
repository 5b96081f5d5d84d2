"""Names of hosts: one that hangs costs nobody more than was agreed, and costs other names nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event
from time import monotonic

import pytest

from scheduler.providers.names import MOST_AT_ONCE, Names, NameTrouble
from tests.waiting import BACKSTOP, wait_until

ADDRESS = ["192.0.2.7"]
SHORT, LONG = 0.1, 5.0


class Resolver:
    """Answers the names it knows at once, and all others when it is let go: with what it knows then."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.asked: list[str] = []
        self.goes_on = Event()

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.known:
            assert self.goes_on.wait(BACKSTOP)
        if host not in self.known:
            raise OSError("no such name")
        return self.known[host]


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    one = Resolver(good_example=ADDRESS)
    yield one
    one.goes_on.set()


def test_a_name_that_hangs_is_waited_for_as_long_as_was_agreed(resolver: Resolver):
    with pytest.raises(NameTrouble, match=r"hangs.example has been looked up for 0\.\d s without an answer"):
        Names(resolver).find("hangs.example", 443, SHORT)


def test_a_name_that_hangs_keeps_no_other_waiting(resolver: Resolver):
    names = Names(resolver)
    with within(LONG), pytest.raises(NameTrouble):
        names.find("hangs.example", 443, SHORT)
    with within(LONG):
        assert names.find("good.example", 443, LONG * 2) == ADDRESS


def test_many_who_wait_for_one_name_ask_once(resolver: Resolver):
    names = Names(resolver)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(names.find, "late.example", 443, SHORT * 5) for _ in range(8)]
        assert [type(one.exception(BACKSTOP)) for one in waiting] == [NameTrouble] * 8
    assert resolver.asked == ["late.example"]


def test_whoever_waits_for_a_name_hears_a_late_answer(resolver: Resolver):
    names = Names(resolver)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(names.find, "late.example", 443, BACKSTOP)
        wait_until(lambda: resolver.asked, what="it is asked")
        resolver.known["late.example"] = ADDRESS
        resolver.goes_on.set()
        assert waiting.result(BACKSTOP) == ADDRESS


def test_nobody_waits_again_for_a_name_that_hangs(resolver: Resolver):
    names = Names(resolver, hangs_after=SHORT)
    with pytest.raises(NameTrouble):
        names.find("hangs.example", 443, SHORT * 2)

    with within(LONG), pytest.raises(NameTrouble):
        names.find("hangs.example", 443, LONG * 2)

    assert resolver.asked == ["hangs.example"]
    assert names.list_hanging() == ["hangs.example"]


def test_a_name_that_answers_again_hangs_no_more(resolver: Resolver):
    names = Names(resolver, hangs_after=SHORT)
    with pytest.raises(NameTrouble):
        names.find("late.example", 443, SHORT * 2)
    hanging = names.list_hanging()
    resolver.known["late.example"] = ADDRESS
    resolver.goes_on.set()

    wait_until(lambda: not names.list_hanging(), what="it hangs no more")

    assert (hanging, names.find("late.example", 443, LONG)) == (["late.example"], ADDRESS)


def test_a_name_that_the_resolver_gave_up_after_long_still_hangs(resolver: Resolver):
    names = Names(resolver, hangs_after=SHORT)
    with pytest.raises(NameTrouble):
        names.find("hangs.example", 443, SHORT * 2)
    resolver.goes_on.set()
    with suppress(NameTrouble):
        wait_until(lambda: names.find("hangs.example", 443, LONG), what="the resolver gives up")

    assert names.list_hanging() == ["hangs.example"]


def test_the_last_good_answer_serves_while_a_name_hangs(resolver: Resolver):
    names = Names(resolver)
    assert names.find("good.example", 443, LONG) == ADDRESS
    del resolver.known["good.example"]

    with within(LONG):
        assert names.find("good.example", 443, LONG * 2) == ADDRESS


def test_an_old_answer_does_not_stand_in_for_a_name_that_is_gone(resolver: Resolver):
    names = Names(resolver)
    names.find("good.example", 443, LONG)
    del resolver.known["good.example"]
    resolver.goes_on.set()

    with pytest.raises(NameTrouble, match=r"good\.example is not known"):
        names.find("good.example", 443, LONG)


def test_so_many_names_are_looked_up_at_most(resolver: Resolver):
    names = Names(resolver)
    for number in range(MOST_AT_ONCE):
        with pytest.raises(NameTrouble, match="without an answer"):
            names.find(f"hangs-{number}.example", 443, 0.0)

    with pytest.raises(NameTrouble, match=r"one-more\.example is not asked for"):
        names.find("one-more.example", 443, LONG)


def test_a_process_that_ends_waits_for_no_name(resolver: Resolver):
    names = Names(resolver)
    with ThreadPoolExecutor(1) as threads, within(LONG):
        waiting = threads.submit(names.find, "hangs.example", 443, BACKSTOP)
        wait_until(lambda: resolver.asked, what="it is asked")
        names.hurry(True)
        with pytest.raises(NameTrouble):
            waiting.result(BACKSTOP)
    assert names.find("good.example", 443, BACKSTOP) == ADDRESS


@pytest.mark.parametrize("host", ["a..example", "x" * 64 + ".example"])
def test_what_is_no_name_is_not_known(host: str):
    with pytest.raises(NameTrouble, match="is not known"):
        Names().find(host, 443, BACKSTOP)


@contextmanager
def within(seconds: float) -> Iterator[Callable[[], float]]:
    began = monotonic()
    yield monotonic
    assert monotonic() - began < seconds
