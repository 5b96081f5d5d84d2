"""A table of look-ups as one test: every row is tried, and all the wrong ones are told at once.

For tests whose rows need nothing fresh: no fixture, or `tmp_path`, of which each row has a folder of its own, or what
`anew` sets back before each row. A test for each row would cost more than what it tests, for each is collected, set up
and reported by every worker. Where a row needs a fresh database or server, `pytest.mark.parametrize` is right.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest


def each(
    names: str | Sequence[str], rows: Iterable[Any], *, ids: Iterable[str] | Callable[[Any], Any] | None = None,
    anew: Callable[[dict[str, Any]], None] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Takes what `pytest.mark.parametrize` takes; several stand for every combination, as there."""
    arguments = [one.strip() for one in names.split(",")] if isinstance(names, str) else list(names)
    table = [_values(row, single=len(arguments) == 1) for row in rows]
    assert table, f"a table of {names} without a row tests nothing"
    assert all(len(row) == len(arguments) for row in table), f"a row of {names} has too many values or too few"
    titles = [None] * len(table) if ids is None or callable(ids) else list(ids)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        def every_row(*given: Any, **fixtures: Any) -> None:
            wrong: list[BaseException] = []
            for number, (row, title) in enumerate(zip(table, titles, strict=True)):
                own = dict(fixtures)
                if "tmp_path" in own:
                    own["tmp_path"] = own["tmp_path"] / str(number)
                    own["tmp_path"].mkdir()
                if anew is not None:
                    anew(own)
                try:
                    test(*given, **own, **dict(zip(arguments, row, strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    named = ", ".join(f"{name}={value!r:.200}" for name, value in zip(arguments, row, strict=True))
                    error.add_note(f"row {number}{f' ({title})' if title else ''}: {named}")
                    wrong.append(error)
            if wrong:
                raise BaseExceptionGroup(f"{len(wrong)} of {len(table)} rows are wrong", wrong)

        signature = inspect.signature(test)
        kept = [one for one in signature.parameters.values() if one.name not in arguments]
        assert len(kept) == len(signature.parameters) - len(arguments), f"{test.__name__} does not take {names}"
        functools.update_wrapper(every_row, test)
        every_row.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return every_row

    return decorate


def _values(row: Any, *, single: bool) -> tuple[Any, ...]:
    if isinstance(row, type(pytest.param())):
        assert not row.marks, "a row has no marks: it is no test of its own"
        return tuple(row.values)
    return (row,) if single else tuple(row)
