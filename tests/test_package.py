"""The wheel: everything is in it, and it works where there is no source tree."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("scheduler", "cli", "migrations")
PROJECT = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the source tree."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROJECT:
        shutil.copy(ROOT / name, copy)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy))
    [built] = out.glob("*.whl")
    return built


def test_the_wheel_holds_every_module_and_every_migration(wheel):
    with zipfile.ZipFile(wheel) as package:
        inside = set(package.namelist())

    ours = {str(file.relative_to(ROOT)) for name in ("scheduler", "cli") for file in (ROOT / name).rglob("*.py")}
    revisions = {
        f"scheduler/migrations/versions/{file.name}" for file in (ROOT / "migrations" / "versions").glob("*.py")
    }
    assert ours <= inside
    assert revisions <= inside
    files = [*(ROOT / "scheduler/web/templates").rglob("*.html"), *(ROOT / "scheduler/web/static").rglob("*.*")]
    served = {str(file.relative_to(ROOT)) for file in files if file.is_file()}
    assert len(served) > 40 and served <= inside | {"scheduler/web/static/vendor/SHA256SUMS"}
    assert {"scheduler/py.typed", "scheduler/migrations/env.py", "scheduler/migrations/script.py.mako"} <= inside


def test_nothing_else_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as package:
        top = {name.partition("/")[0] for name in package.namelist()}

    assert {name for name in top if not name.endswith(".dist-info")} == {"scheduler", "cli"}


def test_an_installed_ringback_upgrades_a_fresh_database(wheel, tmp_path):
    python = empty_environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", str(wheel), cwd=tmp_path)

    database = tmp_path / "fresh.db"
    environment = {"RINGBACK_DATABASE_URL": f"sqlite:///{database}"}
    run(str(Path(python).parent / "ringback"), "db", "upgrade", cwd=tmp_path, environment=environment)

    with sqlite3.connect(database) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        [(revision,)] = connection.execute("SELECT MAX(version_num) FROM alembic_version")
    assert {"leads", "call_schedule", "call_attempts", "scheduler_config", "campaigns"} <= tables
    assert revision == max(file.name for file in (ROOT / "migrations" / "versions").glob("0*.py"))[:4]
    where = run(python, "-c", "import scheduler; print(scheduler.__file__)", cwd=tmp_path)
    assert str(tmp_path) in where, "the source tree was not used"


# --- what this file needs ------------------------------------------------------------------------------------------


def empty_environment(folder: Path) -> str:
    """An environment without Ringback that borrows the libraries of this one, so that nothing is downloaded."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not is_ours(entry):
            (borrowed / entry.name).symlink_to(entry)
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return str(python)


def is_ours(entry: Path) -> bool:
    """An editable install of this very tree, which must not be found."""
    return "ringback" in entry.name.lower() or entry.suffix in (".pth", ".egg-link")


def run(*command: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RINGBACK_", "PYTHON"))}
    done = subprocess.run(command, cwd=cwd, env={**clean, **(environment or {})}, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
