"""Lines are said by a thread of its own: whoever does not read them stops nobody, and what is left out is said."""

from __future__ import annotations

import threading

from scheduler.events import Line, Reporter, Speaker
from tests.conftest import NOON
from tests.waiting import wait_until


class Reader:
    """Reads lines, once it is let."""

    def __init__(self) -> None:
        self.reads = threading.Event()
        self.lines: list[str] = []

    def hear(self, line: Line) -> None:
        self.reads.wait(60)
        self.lines.append(line.text)


def test_a_reader_who_does_not_read_stops_nobody() -> None:
    reader = Reader()
    reporter = Reporter(reader.hear)
    reporter.speak_aside()
    done = threading.Event()

    def work() -> None:
        for number in range(100):
            reporter.daemon(NOON, f"line {number}")
        done.set()

    threading.Thread(target=work, daemon=True).start()
    went_on = done.wait(20)
    reader.reads.set()

    assert went_on
    assert reporter.speak_here(20)
    assert reader.lines == [f"line {number}" for number in range(100)]


def test_what_is_left_out_is_counted_and_said_when_somebody_reads_again() -> None:
    reader = Reader()
    speaker = Speaker(reader.hear, most=3)
    speaker.put(line("first"))
    wait_until(lambda: not speaker._lines)  # it is being said
    kept = [speaker.put(line(f"line {number}")) for number in range(5)]
    unsaid = speaker.unsaid
    reader.reads.set()
    ended = speaker.end(20)

    assert (kept, unsaid, ended) == ([True] * 3 + [False] * 2, 2, True)
    missing = "2 lines are missing here: nobody read this log, or it could not be written"
    assert sorted(reader.lines) == sorted(["first", missing, "line 0", "line 1", "line 2"])


def test_lines_that_nobody_reads_are_not_waited_for_at_the_end() -> None:
    reader = Reader()
    reporter = Reporter(reader.hear)
    reporter.speak_aside()
    reporter.daemon(NOON, "a line")

    assert not reporter.speak_here(0.05)
    reader.reads.set()


def line(text: str) -> Line:
    return Line(NOON, "info", "daemon", text)
