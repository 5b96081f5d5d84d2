"""The lists of pinned packages: complete, the same on every later day, and installed as `make` does it."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checkout import ROOT, clone_to, newcomers_environment, pack, pack_hollow, run

RUN, DEV = "constraints.txt", "constraints-dev.txt"
OF_RUN = ("web", "asterisk")
"""The extras that `make run` installs."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True)
class Pin:
    asked: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.asked.name)

    @property
    def version(self) -> str:
        [one] = self.asked.specifier
        assert one.operator == "==", self.asked
        return one.version

    def holds_in(self, environment: Mapping[str, Any]) -> bool:
        return self.asked.marker is None or self.asked.marker.evaluate(dict(environment))


# --- what stands in the lists -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_every_package_is_pinned_once_with_hashes_and_no_address(lock):
    pins = pins_of(lock)

    assert len(pins) > 40
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert len({pin.name for pin in pins}) == len(pins), "two pins of one package could disagree"
    text = (ROOT / lock).read_text("utf-8")
    assert re.findall(r"(?m)://|^-(?!r constraints\.txt$)|^/| /\w+/", text) == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock, extras", [(RUN, OF_RUN), (DEV, None)], ids=["run", "dev"])
def test_what_pinned_packages_ask_for_is_pinned_with_their_extras(lock, extras, python):
    """Nothing is resolved when it is installed, so a package that is missing here would be missing there."""
    there = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    pinned = {pin.name: pin for pin in pins_of(lock) if pin.holds_in(there)}
    missing, reached = set(), set()
    waiting = [(one, "setup.cfg") for one in asked_by_setup(extras)]
    while waiting:
        asked, by = waiting.pop()
        pin = pinned.get(canonicalize_name(asked.name))
        if pin is None or not asked.specifier.contains(pin.version, prereleases=True):
            missing.add(f"{by} asks for {asked}; pinned: {pin and pin.version}")
            continue
        for extra in {"", *asked.extras} - {extra for name, extra in reached if name == pin.name}:
            reached.add((pin.name, extra))
            waiting += [(one, pin.name) for one in asked_by(pin, extra, there)]

    assert missing == set()
    assert set(pinned) - {name for name, _ in reached} == set(), "nobody asks for these"


def test_every_python_that_the_pins_are_for_is_named_in_the_metadata():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    named = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    assert tuple(named) == PYTHONS


# --- a later day ------------------------------------------------------------------------------------------------------


def test_a_newer_release_of_everything_changes_nothing_that_is_installed(tmp_path):
    """`make` in a fresh clone, with an index that has each pinned package and a newer release of every one."""
    clone, index = clone_to(tmp_path / "clone"), tmp_path / "index"
    index.mkdir()
    made: dict[tuple[str, str], str] = {}
    pins = [pin for pin in pins_of(DEV) if pin.holds_in(default_environment())]
    for pin in pins:
        # What builds Ringback has to work; of the others it is enough to know what they ask for.
        made[pin.name, pin.version] = (pack_again if pin.name == "setuptools" else pack_hollow)(pin.name, index)
        pack_hollow(pin.name, index, version="999.0")
    for lock in (RUN, DEV):
        (clone / lock).write_text(with_hashes((clone / lock).read_text("utf-8"), made))

    said = make(
        clone, ".venv/.dev", f"PYTHON={sys.executable}",
        PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index), PIP_CONFIG_FILE="/dev/null",
    )  # fmt: skip

    found = installed_in(clone / ".venv")
    assert found == {pin.name: pin.version for pin in pins} | {"ringback": found["ringback"], "pip": found["pip"]}
    assert f"Installing what Ringback needs: {len(pins_of(RUN))} packages, pinned in constraints.txt ..." in said
    assert f"Installing what the tests need: {len(pins_of(DEV))} packages, pinned in constraints-dev.txt ..." in said


def test_a_step_says_how_far_it_is_and_shows_everything_when_it_fails(tmp_path):
    steps = (ROOT / "deploy" / "steps.py").read_text("utf-8")
    (tmp_path / "steps.py").write_text(steps.replace("ELSEWHERE = 0.2, 5.0", "ELSEWHERE = 0.05, 0.0"))
    (tmp_path / "lock.txt").write_text("one==1 \\\n    --hash=sha256:0\ntwo[more]==2 ; os_name == 'posix' \\\n")
    os.mkfifo(tmp_path / "go on")
    slow = "print('Collecting one (from -r lock.txt)'); open('go on').read(); print('it broke'); raise SystemExit(3)"

    with subprocess.Popen(
        [sys.executable, "steps.py", "Trying", "--lock", "venv", "lock.txt", "--", sys.executable, "-c", slow],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout and running.stderr
        begun = running.stdout.readline()
        signs = next(line for line in running.stdout if "1 of 2" in line)
        (tmp_path / "go on").write_text("")
        said = running.stderr.read()

    assert begun == "Trying: 2 packages, pinned in lock.txt ...\n"
    assert re.fullmatch(r" +\d+ s  1 of 2 Collecting one\n", signs)
    assert (running.returncode, said) == (3, "Collecting one (from -r lock.txt)\nit broke\n")


# --- the real thing, from the package index ---------------------------------------------------------------------------


@pytest.mark.install
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "python, newest_pip", [("3.11", False), ("3.11", True), ("3.12", False), ("3.13", False), ("3.14", False)],
    ids=lambda value: {True: "current pip", False: "its own pip"}.get(value, value),
)
def test_a_newcomers_make_installs_what_is_pinned_and_it_runs(python, newest_pip, tmp_path):
    clone, interpreter = clone_to(tmp_path / "clone"), find_python(python)
    make(clone, ".venv/bin/python", f"PYTHON={interpreter}")
    inside = str(clone / ".venv" / "bin" / "python")
    if newest_pip:
        run(inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    there = environment_of(inside)

    for target, lock in ((".venv/.run", RUN), (".venv/.dev", DEV)):
        make(clone, target, f"PYTHON={interpreter}")
        found = installed_in(clone / ".venv")
        wanted = {pin.name: pin.version for pin in pins_of(lock) if pin.holds_in(there)}
        assert wanted.items() <= found.items()
        assert set(found) - set(wanted) <= {"pip", "setuptools", "ringback"}
        imported = run(inside, "-c", IMPORT_ALL, cwd=clone).split()
        assert len(imported) > 100
    url = {"RINGBACK_DATABASE_URL": f"sqlite:///{tmp_path / 'fresh.db'}"}
    run(str(clone / ".venv/bin/ringback"), "db", "upgrade", cwd=tmp_path, environment=url)
    run(str(clone / ".venv/bin/ringback"), "check", cwd=tmp_path, environment=url)


@pytest.mark.install
@pytest.mark.timeout(900)
def test_wheel_and_source_archive_install_with_every_extra_in_an_empty_folder(tmp_path):
    """As the README says, with the index: the archive is built anew by what it asks for itself."""
    clone = clone_to(tmp_path / "clone")
    run(sys.executable, "-m", "build", "--no-isolation", cwd=clone)
    for built in sorted((clone / "dist").iterdir()):
        home = tmp_path / built.suffix
        home.mkdir()
        run(sys.executable, "-m", "venv", str(home / "venv"))
        python = str(home / "venv" / "bin" / "python")
        asked = f"{built}[web,asterisk,mysql-rsa,plot]"
        pins = str(as_constraints(clone, home))
        run(python, "-m", "pip", "install", "--quiet", "--constraint", pins, asked, cwd=home)
        run(python, "-m", "pip", "check", cwd=home)
        assert len(run(python, "-c", IMPORT_ALL, cwd=home).split()) > 100
        url = {"RINGBACK_DATABASE_URL": f"sqlite:///{home / 'var' / 'fresh.db'}"}
        run(str(Path(python).parent / "ringback"), "db", "upgrade", cwd=home, environment=url)
        run(str(Path(python).parent / "ringback"), "report", "--plot", "it.png", cwd=home, environment=url)
        assert (home / "it.png").stat().st_size > 1000


# --- what this file needs ---------------------------------------------------------------------------------------------

IMPORT_ALL = """
import cli, importlib, pkgutil, scheduler
for package in (cli, scheduler):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in found.name:
            importlib.import_module(found.name)
            print(found.name)
"""


def pins_of(lock: str) -> list[Pin]:
    found = []
    text = (ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("-r "):
            found += pins_of(line.removeprefix("-r "))
        elif line and not line.lstrip().startswith("#"):
            asked, *hashes = re.split(r"\s+--hash=", line.strip())
            found.append(Pin(Requirement(asked), tuple(hashes)))
    return found


def asked_by_setup(extras: tuple[str, ...] | None) -> Iterator[Requirement]:
    """What setup.cfg asks for, with these extras; None: with all of them."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    known = setup["options.extras_require"]
    for text in (setup["options"]["install_requires"], *(known[one] for one in (known if extras is None else extras))):
        yield from map(Requirement, filter(None, text.splitlines()))


def asked_by(pin: Pin, extra: str, there: Mapping[str, Any]) -> Iterator[Requirement]:
    """What the installed distribution asks for. One that is not for this Python is not here to be asked."""
    try:
        installed = metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        assert not pin.holds_in(default_environment()), f"{pin.name} is pinned for this Python and not installed"
        return
    assert installed.version == pin.version, f"{pin.name}: run `make .venv/.dev`"
    for asked in map(Requirement, installed.requires or ()):
        if asked.marker is None:
            if not extra:
                yield asked
        elif asked.marker.evaluate({**there, "extra": extra}):
            yield asked


def pack_again(name: str, index: Path) -> str:
    """The wheel that an installed distribution came from, near enough to build with. Returns its hash."""
    installed = metadata.distribution(name)
    here = Path(str(installed.locate_file("")))
    files = {str(one): one for one in installed.files or () if not str(one).startswith("..") and one.suffix != ".pyc"}
    code = {path: (here / path).read_bytes() for path in files if ".dist-info/" not in path}
    about = {one.name: (here / path).read_bytes() for path, one in files.items() if path.count("/") == 1
             and ".dist-info/" in path and one.name in ("METADATA", "entry_points.txt")}  # fmt: skip
    return pack(index, name, installed.version, about, code)


def with_hashes(lock: str, made: Mapping[tuple[str, str], str]) -> str:
    """The list as it is, with the hashes of these wheels in the place of the real ones."""
    lines = []
    for line in lock.replace("\\\n", " ").splitlines():
        asked, *hashes = re.split(r"\s+--hash=", line)
        if hashes:
            one = Requirement(asked)
            [version] = [spec.version for spec in one.specifier]
            digest = made.get((canonicalize_name(one.name), version), "0" * 64)  # of one that is not for this Python
            lines.append(f"{asked} \\\n    --hash=sha256:{digest}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def as_constraints(clone: Path, folder: Path) -> Path:
    """The pins without hashes and extras, as pip wants constraints: what is tested here is ours, not today's index."""
    lines = [f"{pin.name}=={pin.version}" for pin in pins_of(DEV)]
    (folder / "constraints").write_text("\n".join(lines))
    return folder / "constraints"


def make(clone: Path, *arguments: str, **environment: str) -> str:
    return run("make", "--no-print-directory", *arguments, cwd=clone, environment=environment)


def installed_in(environment: Path) -> dict[str, str]:
    [site] = environment.glob("lib/python3*/site-packages")
    return {canonicalize_name(one.name): one.version for one in metadata.distributions(path=[str(site)])}


def environment_of(python: str) -> dict[str, Any]:
    version = run(python, "-c", "import platform; print(platform.python_version())").strip()
    return {**default_environment(), "python_version": version.rpartition(".")[0], "python_full_version": version}


def find_python(version: str) -> str:
    """An interpreter of that version, or the test is skipped. Names on PATH may be empty promises of a manager."""
    managed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python")
    for candidate in (shutil.which(f"python{version}"), f"/usr/bin/python{version}", *map(str, managed)):
        if candidate and Path(candidate).exists():
            asked = subprocess.run(
                [candidate, "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True, text=True, env=newcomers_environment(),
            )  # fmt: skip
            if asked.stdout.strip() == version:
                return candidate
    pytest.skip(f"there is no Python {version} here")
