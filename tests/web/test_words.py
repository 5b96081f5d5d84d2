"""What the pages say is there in Spanish too: every sentence of every template, and of the code behind them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType

from jinja2 import Environment, nodes

import scheduler.web
from scheduler.rules import phone_cells, phones, rows
from scheduler.web import words
from scheduler.web.words_es import SPANISH
from tests.each import each

WEB = Path(scheduler.web.__file__).parent
SAYS = {"t": 0, "say": 0, "tn": 2, "say_number": 2, "redirect": 2}
"""Functions that say a sentence, and which argument it is, counted after a language in front of it."""


def test_every_sentence_of_the_templates_is_there_in_spanish() -> None:
    missing = {
        f"{path.name}: {sentence}" for path in WEB.glob("templates/**/*.html") for sentence in _of_template(path)
        if sentence not in SPANISH
    }
    assert missing == set()


def test_every_sentence_of_the_pages_is_there_in_spanish() -> None:
    missing = {
        f"{path.name}: {sentence}" for path in (*WEB.glob("pages/*.py"), WEB / "live.py", WEB / "login.py")
        for sentence in _of_module(path) if sentence not in SPANISH
    }
    assert missing == set()


def test_places_are_the_same_in_both_languages() -> None:
    wrong = [
        english for english, spanish in SPANISH.items()
        for one in ((spanish,) if isinstance(spanish, str) else spanish)
        if not set(words._PLACE.findall(one)) <= {*words._PLACE.findall(english), "n"}
    ]
    assert wrong == []


@each(("cookie", "accepted", "language"), [
    (None, None, "en"), ("es", "en", "es"), ("xx", "es-CL,en;q=0.8", "es"), (None, "fr, en;q=0.2, es;q=0.7", "es"),
    (None, "es;q=0, en", "en"), (None, "es;q=x", "en"), (None, ",;;q=,", "en"), (None, "es" * 5000, "en"),
])
def test_the_language_is_the_one_chosen_or_the_best_that_the_browser_takes(
    cookie: str | None, accepted: str | None, language: str
) -> None:
    assert words.choose_language(cookie, accepted) == language


def test_numbers_lengths_and_dates_are_written_as_the_language_writes_them() -> None:
    at = datetime(2026, 11, 20, 15, 4, tzinfo=UTC)
    assert words.write_number("en", 1234567) == "1,234,567"
    assert words.write_number("es", Decimal("1234.50"), 2) == "1.234,50"
    assert (words.write_share("es", 0.456, 1), words.write_share("en", 0.456, 1)) == ("45,6 %", "45.6%")
    assert words.write_duration("en", timedelta(hours=3, minutes=20, seconds=5)) == "3 h 20 min"
    assert (words.write_instant("en", at), words.write_instant("es", at)) == (
        "20 Nov 2026, 15:04", "20 nov 2026, 15:04",
    )


def test_what_the_service_says_is_retold_with_its_parts() -> None:
    refusal = "campaign autumn is paused; only an active one can be paused"
    assert words.retell("es", refusal) == "la campaña autumn está en pausa; solo se puede pausar una activa"
    assert words.retell("en", refusal) == refusal
    assert words.retell("es", "nobody ever wrote this") == "nobody ever wrote this"


def test_what_a_person_typed_is_left_as_it_is() -> None:
    typed = ("call me", "John paused", "from home", "by Maria", "Monday is off", "opens the door", "a friend; call Ana")
    assert [words.retell("es", text) for text in typed] == list(typed)
    assert [words.retell("es", text) for text in ("call 7", "4 calls", "no_answer; next phone after busy (2 UTC)")] == [
        "llamada 7", "4 llamadas", "sin respuesta; siguiente número después de ocupado (2 UTC)",
    ]


@each("module", [phones, phone_cells, rows])
def test_why_a_row_was_left_out_is_said_in_spanish_too(module: ModuleType) -> None:
    said = set(_refusals(Path(str(module.__file__))))
    assert said
    assert {sentence for sentence in said if words.retell("es", sentence) == sentence} == set()


def _refusals(path: Path) -> Iterator[str]:
    """What is right instead, of every InvalidValue that says it there and then."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InvalidValue" and len(node.args) == 3:
            right = node.args[2]
            if isinstance(right, ast.Constant):
                yield str(right.value)
            elif isinstance(right, ast.JoinedStr) and isinstance(right.values[0], ast.Constant):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "7" for one in right.values)


def _of_template(path: Path) -> Iterator[str]:
    tree = Environment(autoescape=True).parse(path.read_text("utf-8"))  # parsed, never rendered
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("t", "tn"):
            yield from _texts(call.args[SAYS[call.node.name]])


def _texts(node: nodes.Node) -> Iterator[str]:
    """The texts that an argument may be: `"Fields" if x else "JSON"` is two."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from _texts(node.expr1)
        if node.expr2 is not None:
            yield from _texts(node.expr2)


def _of_module(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in SAYS:
            continue
        is_of_words = isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "words"
        place = SAYS[name] + (1 if is_of_words else 0)
        if len(node.args) > place and isinstance(node.args[place], ast.Constant):
            sentence = str(node.args[place].value)
            # A sentence with "one|many" forms is kept under the second.
            yield sentence.partition("|")[2] or sentence
