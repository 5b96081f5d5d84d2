"""Wheel and source archive: everything is in them, and they work where there is no source tree."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.checkout import ROOT, borrow_libraries, clone_to, newcomers_environment, pack_hollow, run

NOT_SHIPPED = {".gitignore", ".ci/run"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both, made from a copy so that nothing is left here; the wheel is made of the archive."""
    copy, out = clone_to(tmp_path_factory.mktemp("source")), tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy))
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


def test_the_source_archive_holds_the_repository(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as package:
        inside = {name.partition("/")[2] for name in package.getnames()}

    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    assert {name for name in listed if name and (ROOT / name).exists()} - inside == NOT_SHIPPED


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
    python = environment_without_ringback(tmp_path / "venv")
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


def test_the_readmes_way_to_install_the_wheel_brings_the_dashboard(wheel, tmp_path):
    """The command as it stands there, in a folder that has nothing but dist/."""
    [command] = re.findall(r"^pip (install .*dist/.*)$", (ROOT / "README.md").read_text("utf-8"), flags=re.M)
    python = environment_without_ringback(tmp_path / "venv")
    (tmp_path / "dist").symlink_to(wheel.parent)
    run("sh", "-c", f"{python} -m pip {command}", cwd=tmp_path, environment={"PIP_NO_INDEX": "1"})

    served = run(python, "-c", "import scheduler.web.server as it; print(it.__file__)", cwd=tmp_path)
    assert str(tmp_path / "venv") in served


@pytest.mark.parametrize(
    "extra, library, module, command",
    [
        ("web", "fastapi", "fastapi", ("serve",)),
        ("web", "argon2_cffi", "argon2", ("users", "add", "ana", "--role", "admin", "--password-stdin")),
        ("plot", "matplotlib", "matplotlib", ("report", "--plot", "it.png")),
    ],
)
def test_what_an_extra_is_missing_for_says_the_command_that_installs_it(
    wheel, tmp_path, extra, library, module, command
):
    python = environment_without_ringback(tmp_path / "venv", without=(library, module))
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", str(wheel), cwd=tmp_path)
    ringback = str(Path(python).parent / "ringback")
    url = {"RINGBACK_DATABASE_URL": f"sqlite:///{tmp_path / 'fresh.db'}"}
    run(ringback, "db", "upgrade", cwd=tmp_path, environment=url)

    refused = subprocess.run(
        [ringback, *command], cwd=tmp_path, capture_output=True, text=True, input="correct horse battery staple\n",
        env=newcomers_environment(**url),
    )  # fmt: skip
    [(named, advice)] = re.findall(r"needs the extra `(\w+)`; install it with (.+)$", refused.stderr, flags=re.M)
    assert (refused.returncode in (1, 2), named) == (True, extra)

    (tmp_path / "index").mkdir()
    pack_hollow(library.replace("_", "-"), tmp_path / "index")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    said = run(*shlex.split(advice), cwd=tmp_path, environment=offline)
    assert "Successfully installed " + library.replace("_", "-") in said.replace("_", "-")
    assert "ringback" not in said.replace(str(tmp_path), ""), "on an index that name is not ours"


def test_no_page_and_no_sentence_names_ringback_as_a_package_of_an_index():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*")]
    sources = [file for name in ("scheduler", "cli") for file in (ROOT / name).rglob("*.py")]

    texts = {file: file.read_text("utf-8") for file in (*pages, *sources) if file.is_file()}
    assert {
        file.name: found for file, text in texts.items()
        if (found := re.findall(r"""pip3? install (?:-\S+ )*['"]?ringback\b[^\n]*""", text))
    } == {}  # fmt: skip


# --- what this file needs ------------------------------------------------------------------------------------------


def environment_without_ringback(folder: Path, *, without: tuple[str, ...] = ()) -> str:
    """The Python of an environment that borrows the libraries of this one, so that nothing is downloaded."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "borrowed.pth").write_text(f"{borrow_libraries(folder / 'borrowed', without=without)}\n")
    return str(python)
