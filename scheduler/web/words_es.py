"""Spanish: every sentence of the pages, put together from one dictionary for each group of pages.

A group of pages adds its own module here. A sentence that two groups say is written in the first of them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

PARTS = (
    "words_es_base", "words_es_campaigns", "words_es_service", "words_es_system", "words_es_access", "words_es_reasons",
)


def _read() -> dict[str, str | tuple[str, str]]:
    found: dict[str, str | tuple[str, str]] = {}
    for part in reversed(PARTS):
        name = f"scheduler.web.{part}"
        if find_spec(name) is not None:
            found.update(import_module(name).WORDS)
    return found


SPANISH: dict[str, str | tuple[str, str]] = _read()
