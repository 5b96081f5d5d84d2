"""The list of guards that are broken on purpose (`make mutants`) fits the tree."""

from __future__ import annotations

from collections import Counter

from tests.mutants import MUTANTS, complaints


def test_every_guard_is_in_the_tree_exactly_once_and_its_tests_exist() -> None:
    assert [sentence for one in MUTANTS for sentence in complaints(one)] == []


def test_each_guard_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(one.guard for one in MUTANTS).items() if times > 1] == []
