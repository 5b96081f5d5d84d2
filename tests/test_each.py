from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.each import each
from tests.waiting import BACKSTOP

ROOT = Path(__file__).parents[1]


def test_every_row_is_tried_and_all_the_wrong_ones_are_named():
    tried = []

    @each("given, expected", [(1, 1), (2, 3), pytest.param(4, 4), (5, 0)], ids=["one", "two", "four", "five"])
    def doubtful(given: int, expected: int) -> None:
        tried.append(given)
        assert given == expected

    with pytest.raises(ExceptionGroup, match="2 of 4 rows are wrong") as failed:
        doubtful()

    assert tried == [1, 2, 4, 5]
    assert [one.__notes__ for one in failed.value.exceptions] == [
        ["row 1 (two): given=2, expected=3"], ["row 3 (five): given=5, expected=0"]
    ]


def test_two_tables_stand_for_every_combination():
    tried = []

    @each("one", "ab")
    @each("other", [1, 2])
    def both(one: str, other: int) -> None:
        tried.append((one, other))

    both()

    assert tried == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_each_row_has_a_folder_of_its_own(tmp_path):
    folders = []

    @each("name", ["a", "b"])
    def written(name: str, tmp_path) -> None:
        folders.append(tmp_path)
        assert not list(tmp_path.iterdir())
        (tmp_path / name).touch()

    written(tmp_path=tmp_path)

    assert len(set(folders)) == 2


def test_a_table_that_tests_nothing_is_refused():
    with pytest.raises(AssertionError, match="without a row"):
        each("name", [])
    with pytest.raises(AssertionError, match="too many values"):
        each("name, other", [(1, 2, 3)])
    with pytest.raises(AssertionError, match="does not take"):
        each("name", ["a"])(lambda other: None)


def test_what_a_row_leaves_is_set_back_before_the_next():
    left: list[str] = ["of another test"]

    @each("name", ["a", "b"], anew=lambda fixtures: fixtures["left"].clear())
    def leaves(name: str, left: list[str]) -> None:
        assert left == []
        left.append(name)

    leaves(left=left)

    assert left == ["b"]


def test_a_report_shows_every_wrong_row(tmp_path):
    """Not the first of each kind, which is what a plugin made of it."""
    test = tmp_path / "test_table.py"
    test.write_text("from tests.each import each\n\n\n@each('n', [1, 2, 3])\ndef test_table(n):\n    assert n == 1\n")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "setup.cfg"), "-p", "no:cacheprovider", str(test)],
        capture_output=True, text=True, cwd=ROOT, timeout=BACKSTOP,
    )

    assert told.returncode == 1
    assert "row 1: n=2" in told.stdout and "row 2: n=3" in told.stdout and "row 0" not in told.stdout
