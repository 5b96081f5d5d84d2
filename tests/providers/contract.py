"""What every adapter must do, whatever is at the other end. Each adapter's tests inherit this suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from scheduler.clock import ManualClock
from scheduler.errors import ProviderError
from scheduler.model import Outcome
from scheduler.providers.base import (
    Accepted,
    CallKey,
    CallReport,
    DialAnswer,
    DialRequest,
    Phase,
    Provider,
    RefusalKind,
    Refused,
    Unanswered,
)
from tests.waiting import wait_until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NUMBER = "+56912345678"
LONG_AFTER = timedelta(minutes=10)
FORWARD = list(Phase)
SILENT = {"swallow", "timeout_after_accept"}


@dataclass
class Line:
    """An adapter and the network behind it: what it does wrong from now on, what it has really seen.

    `impatient` is the same with a deadline that is soon over, for answers that never come; None where there are none.
    `mumble` makes the vendor say of a call, by its id, a word that nobody knows, with a sign of its end or without;
    None where it has no words for how far a call is.
    """

    provider: Provider
    clock: ManualClock
    misbehave: Callable[[str], None]
    calls_made: Callable[[str], int]
    impatient: Provider | None = None
    mumble: Callable[[str, bool], None] | None = None


class ProviderContract:
    """Inherit, and give the fixture `line`. Calls must ring and last, on `line.clock`.

    What a vendor does not have is said by the attributes: `refusals`, the documented refusals of a start by
    the name of their fault; `phases`, those that it tells apart; `finds`, whether a call can be found by its
    reference once it is made, and `proves`, whether "not found" is proof; `hangs_up`; `many`, how many calls
    are polled at once. A test of what a vendor does not have at all is None in its class.
    """

    refusals: ClassVar[Mapping[str, RefusalKind]] = {
        "refuse": RefusalKind.REFUSED,
        "throttle": RefusalKind.THROTTLED,
        "hold": RefusalKind.HOLD,
        "invalid_number": RefusalKind.INVALID_NUMBER,
        "do_not_call": RefusalKind.DO_NOT_CALL,
    }
    phases: ClassVar[Set[Phase]] = frozenset(Phase)
    finds: ClassVar[bool] = True
    proves: ClassVar[bool] = True
    hangs_up: ClassVar[bool] = True
    many: ClassVar[int] = 250

    @pytest.fixture
    def line(self) -> Iterator[Line]:
        pytest.fail(f"{type(self).__name__} gives no fixture `line`: the adapter, and the network behind it")

    def test_an_accepted_call_has_an_id_and_is_made_once(self, line: Line) -> None:
        call_id = place_accepted(line, "one")

        assert call_id
        assert line.calls_made("one") == 1

    def test_a_documented_refusal_is_proof_that_no_call_exists(self, line: Line) -> None:
        for fault, kind in self.refusals.items():
            line.misbehave(f"{fault}=1")

            answer = line.provider.place(request(f"turned-down-{fault}"))

            assert isinstance(answer, Refused), fault
            assert answer.kind is kind, fault
            assert NUMBER not in answer.reason
            assert line.calls_made(f"turned-down-{fault}") == 0

    @pytest.mark.parametrize("fault", ["error_500", "swallow"])
    def test_a_lost_request_is_unanswered_and_then_not_found(self, line: Line, fault: str) -> None:
        line.misbehave(f"{fault}=1")

        assert isinstance(place_in_vain(line, "lost", fault), Unanswered)
        assert line.provider.finds_by_ref is self.proves
        assert line.provider.find(key("lost"), line.clock.now()) is None

    @pytest.mark.parametrize(
        "fault",
        [
            "lose_answer",
            "reset_after_accept",
            "timeout_after_accept",
            "error_502_after",
            "unreadable_after",
        ],
    )
    def test_a_lost_answer_is_unanswered_and_its_single_call_is_found(self, line: Line, fault: str) -> None:
        line.misbehave(f"{fault}=1")

        answer = place_in_vain(line, "half-known", fault)

        assert isinstance(answer, Unanswered)
        assert NUMBER not in answer.reason
        wait_until(lambda: line.calls_made("half-known") == 1)
        if not self.finds:
            return
        found = line.provider.find(key("half-known"), line.clock.now())
        assert found is not None
        assert found.attempt_ref == "half-known"
        assert found.call_id

    def test_a_found_call_can_be_followed_by_its_id(self, line: Line) -> None:
        line.misbehave("lose_answer=1")
        line.provider.place(request("adopted"))
        found = line.provider.find(key("adopted"), line.clock.now())
        assert found is not None

        assert poll_one(line, "adopted", found.call_id).phase is not Phase.ENDED
        line.clock.advance(LONG_AFTER)
        assert poll_one(line, "adopted", found.call_id).phase is Phase.ENDED

    def test_poll_answers_for_many_calls_at_once(self, line: Line) -> None:
        ids = {f"many-{number}": place_accepted(line, f"many-{number}") for number in range(self.many)}

        reports = line.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], line.clock.now())

        assert {ref: reports[call_id].attempt_ref for ref, call_id in ids.items()} == {ref: ref for ref in ids}

    def test_poll_says_which_call_does_not_exist_and_leaves_out_those_without_id(self, line: Line) -> None:
        call_id = place_accepted(line, "real")

        reports = line.provider.poll(
            [key("real", call_id), key("gone", "no-such-call"), key("nameless")], line.clock.now()
        )

        assert reports.keys() == {call_id, "no-such-call"}
        assert reports["no-such-call"] is None

    def test_poll_of_nothing_is_nothing(self, line: Line) -> None:
        assert line.provider.poll([], line.clock.now()) == {}

    def test_a_call_never_asked_for_is_not_found(self, line: Line) -> None:
        assert line.provider.find(key("never"), line.clock.now()) is None

    def test_phases_only_go_forward_and_reach_the_end(self, line: Line) -> None:
        ids = {f"on-{number}": place_accepted(line, f"on-{number}") for number in range(40)}
        seen: dict[str, list[Phase]] = {ref: [] for ref in ids}

        for _ in range(60):
            for report in poll_all(line, ids):
                assert (report.outcome is not None or report.refusal is not None) == (report.phase is Phase.ENDED)
                seen[report.attempt_ref or ""].append(report.phase)
            line.clock.advance(timedelta(seconds=1))

        for phases in seen.values():
            assert phases == sorted(phases, key=FORWARD.index)
            assert phases[-1] is Phase.ENDED
        assert {phase for phases in seen.values() for phase in phases} == self.phases

    def test_a_word_that_nobody_knows_ends_a_call_only_with_a_sign_of_its_end(self, line: Line) -> None:
        if line.mumble is None:
            return
        call_id = place_accepted(line, "strange")

        line.mumble(call_id, False)
        live = poll_one(line, "strange", call_id)
        line.mumble(call_id, True)
        over = poll_one(line, "strange", call_id)

        assert (live.phase is Phase.ENDED, live.outcome, live.refusal, live.known_word) == (False, None, None, False)
        assert (over.phase, over.outcome, over.known_word) == (Phase.ENDED, Outcome.FAILED, False)

    def test_an_end_is_told_the_same_way_again(self, line: Line) -> None:
        ids = {f"again-{number}": place_accepted(line, f"again-{number}") for number in range(30)}
        line.clock.advance(LONG_AFTER)

        first = poll_all(line, ids)
        line.clock.advance(LONG_AFTER)

        assert poll_all(line, ids) == first
        for report in first:
            assert report.ended_at is not None
            assert NOON <= report.ended_at <= NOON + LONG_AFTER

    def test_a_call_that_is_hung_up_has_ended_and_asks_for_another_attempt(self, line: Line) -> None:
        call_id = place_accepted(line, "cut")
        if not self.hangs_up:
            with pytest.raises(ProviderError, match="cannot"):
                line.provider.hang_up(call_id)
            return

        assert line.provider.hang_up(call_id) is True
        report = poll_one(line, "cut", call_id)
        assert report.phase is Phase.ENDED
        assert report.outcome is not None
        assert report.outcome.value in ("no_answer", "hang_up", "cancelled", "completed")
        assert report.known_word

    def test_hanging_up_again_or_after_the_end_says_that_nothing_was_there(self, line: Line) -> None:
        cut, over = place_accepted(line, "cut-twice"), place_accepted(line, "over")
        line.provider.hang_up(cut)
        line.clock.advance(LONG_AFTER)

        assert line.provider.hang_up(cut) is False
        assert line.provider.hang_up(over) is False
        assert line.provider.hang_up("no-such-call") is False

    def test_a_lookup_that_fails_proves_nothing(self, line: Line) -> None:
        call_id = place_accepted(line, "hidden")
        line.misbehave("lookup_error=1")

        with pytest.raises(ProviderError) as from_poll:
            line.provider.poll([key("hidden", call_id)], line.clock.now())
        with pytest.raises(ProviderError) as from_find:
            line.provider.find(key("hidden"), line.clock.now())
        assert not from_poll.value.permanent
        assert NUMBER not in str(from_poll.value) + str(from_find.value)

    def test_many_threads_make_one_call_for_each_reference(self, line: Line) -> None:
        refs = [f"thread-{number}" for number in range(120)]

        with ThreadPoolExecutor(8) as places:
            answers = list(places.map(lambda ref: line.provider.place(request(ref)), refs))

        assert all(isinstance(answer, Accepted) for answer in answers)
        assert len({answer.call_id for answer in answers if isinstance(answer, Accepted)}) == len(refs)
        assert [line.calls_made(ref) for ref in refs] == [1] * len(refs)


def request(attempt_ref: str, **changes: object) -> DialRequest:
    wanted = {"ring_timeout": timedelta(seconds=30), "max_duration": timedelta(minutes=5), **changes}
    return DialRequest(attempt_ref, NUMBER, **wanted)


def key(attempt_ref: str, call_id: str | None = None, placed_at: datetime | None = NOON) -> CallKey:
    return CallKey(attempt_ref, call_id, NUMBER, placed_at)


def place_accepted(line: Line, attempt_ref: str) -> str:
    answer: DialAnswer = line.provider.place(request(attempt_ref))
    assert isinstance(answer, Accepted), answer
    return answer.call_id


def place_in_vain(line: Line, attempt_ref: str, fault: str) -> DialAnswer:
    """Only an answer that never comes is waited for with little patience, which a busy machine would try too often."""
    provider = line.impatient if fault in SILENT and line.impatient else line.provider
    return ask_in_vain(lambda: provider.place(request(attempt_ref)))


def ask_in_vain(ask: Callable[[], Any]) -> Any:
    """Ask until a request was sent: on a busy machine the deadline may be over before, and then there was none."""
    for _ in range(50):
        answer = ask()
        if not (isinstance(answer, Refused) and answer.kind is RefusalKind.NEVER_SENT):
            break
    return answer


def poll_one(line: Line, attempt_ref: str, call_id: str) -> CallReport:
    report = line.provider.poll([key(attempt_ref, call_id)], line.clock.now())[call_id]
    assert report is not None
    return report


def poll_all(line: Line, ids: dict[str, str]) -> list[CallReport]:
    reports = line.provider.poll([key(ref, call_id) for ref, call_id in ids.items()], line.clock.now())
    return [report for report in reports.values() if report is not None]
