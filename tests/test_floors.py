"""Who may know whom: cli -> web -> service -> store, providers -> rules -> model, clock, errors, config, events."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.each import each

ROOT = Path(__file__).resolve().parent.parent

FLOORS = {
    "cli": 6, "web": 5, "service": 4, "store": 3, "providers": 3, "rules": 2,
    "model": 1, "clock": 1, "errors": 1, "config": 1, "events": 1, "lines": 1,
}  # fmt: skip
GROUND = 1
KEPT_FOR = {
    "sqlalchemy": "store", "alembic": "store", "pymysql": "store", "httpx": "providers", "websockets": "providers",
    "fastapi": "web", "starlette": "web", "uvicorn": "web",
}  # fmt: skip
"""Libraries that one floor alone may use."""


def test_no_floor_knows_one_above_it_or_beside_it():
    assert [
        f"{file.relative_to(ROOT)} imports {name}"
        for file, name in imports_of("scheduler", "cli")
        if (there := floor_of(name)) and not may_know(unit_of(file), there)
    ] == []


def test_each_library_has_one_floor():
    assert [
        f"{file.relative_to(ROOT)} imports {name}"
        for file, name in imports_of("scheduler", "cli")
        if (kept_for := KEPT_FOR.get(name.partition(".")[0])) and kept_for != unit_of(file)
    ] == []


def test_the_command_line_opens_no_transaction_that_writes():
    assert [
        file.name
        for file in (ROOT / "cli").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "transact"
    ] == []


def test_migrations_know_the_tables_alone():
    for file, name in imports_of("migrations"):
        if name.startswith("scheduler") and file.name != "env.py":
            assert name.startswith("scheduler.store"), (file.name, name)
            assert name in ("scheduler.store", "scheduler.store.tables"), (file.name, name)
    of_env = {
        name for file, name in imports_of("migrations")
        if file.name == "env.py" and name.startswith("scheduler.") and name.count(".") == 2
    }
    assert of_env <= {"scheduler.store.tables", "scheduler.store.database", "scheduler.config.read_settings",
                      "scheduler.store.database.Database"}


def test_rules_read_no_clock():
    forbidden = {"now", "utcnow", "today", "time_ns", "monotonic"}
    calls = [
        (file.name, node.func.attr)
        for file in (ROOT / "scheduler" / "rules").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]

    assert [call for call in calls if call[1] in forbidden] == []


@each(
    "here, there, allowed",
    [
        ("cli", "web", True), ("web", "cli", False), ("web", "service", True),
        ("cli", "service", True), ("service", "store", True), ("service", "providers", True), ("store", "rules", True),
        ("providers", "rules", True), ("rules", "model", True), ("events", "model", True), ("store", "store", True),
        ("store", "providers", False), ("providers", "store", False), ("rules", "store", False),
        ("events", "rules", False), ("service", "cli", False), ("model", "rules", False), ("store", "service", False),
    ],
)  # fmt: skip
def test_the_floors_are_these(here, there, allowed):
    assert may_know(here, there) is allowed


# --- what this file needs --------------------------------------------------------------------------------------


def may_know(here: str, there: str) -> bool:
    return here == there or FLOORS[here] > FLOORS[there] or FLOORS[here] == FLOORS[there] == GROUND


def unit_of(file: Path) -> str:
    """The floor that a file is on: a package of `scheduler`, one of its modules, or `cli`."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] == "cli" else parts[1]


def floor_of(name: str) -> str | None:
    """The floor that an imported name is on; None for what is not ours, or has no floor (the version)."""
    parts = name.split(".")
    if parts[0] == "cli":
        return "cli"
    return parts[1] if parts[0] == "scheduler" and len(parts) > 1 and parts[1] in FLOORS else None


def imports_of(*folders: str) -> Iterator[tuple[Path, str]]:
    """(file, name) for everything imported anywhere in these folders; `from a import b` is both a and a.b."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file == ROOT / "scheduler" / "__init__.py":
                continue
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((file, alias.name) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    assert node.level == 0, f"{file}: imports are absolute here"
                    yield file, node.module
                    yield from ((file, f"{node.module}.{alias.name}") for alias in node.names)
