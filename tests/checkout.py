"""A copy of this repository as a newcomer gets it, and libraries that need not be fetched again."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def clone_to(folder: Path) -> Path:
    """What is under version control, as it stands here now: nothing that was built, installed or run."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
        problem = listed.stderr.strip() if listed.returncode else None
    except OSError as error:
        problem = f"git is needed here: {error}"
    if problem is not None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(f"this is no clone, so nobody knows what one would hold: {problem}")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def borrow_libraries(folder: Path, *, without: Collection[str] = ()) -> Path:
    """Links to what is installed here, without Ringback. On a path of Python's they count as installed."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not (is_ours(entry) or entry.name.partition("-")[0] in without):
            (folder / entry.name).symlink_to(entry)
    return folder


def is_ours(entry: Path) -> bool:
    """An editable install of this very tree, which must not be found."""
    return "ringback" in entry.name.lower() or entry.suffix in (".pth", ".egg-link")


def newcomers_environment(**more: str) -> dict[str, str]:
    """The variables of this process without those that steer us, Python, pip, make or an environment."""
    ours = ("RINGBACK_", "PYTHON", "PIP_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "COVERAGE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def run(*command: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=newcomers_environment(**(environment or {})), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# --- wheels made here -------------------------------------------------------------------------------------------------


def pack_hollow(name: str, index: Path, *, version: str | None = None) -> str:
    """A wheel without code that asks for what the installed distribution asks for. Returns its hash."""
    installed = metadata.distribution(name)
    version = version or installed.version
    asked = "".join(f"Requires-Dist: {one}\n" for one in installed.requires or ())
    extras = "".join(f"Provides-Extra: {one}\n" for one in installed.metadata.get_all("Provides-Extra") or ())
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extras}{asked}"
    return pack(index, name, version, {"METADATA": about.encode()}, {})


def pack(index: Path, name: str, version: str, about: Mapping[str, bytes], code: Mapping[str, bytes]) -> str:
    stem = f"{name.replace('-', '_')}-{version}"
    kind = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{stem}.dist-info/{name}": content for name, content in {**about, "WHEEL": kind}.items()} | dict(code)
    record = io.StringIO()
    lines = csv.writer(record, lineterminator="\n")
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.writerow((path, f"sha256={digest}", len(content)))
    lines.writerow((f"{stem}.dist-info/RECORD", "", ""))
    files[f"{stem}.dist-info/RECORD"] = record.getvalue().encode()
    wheel = index / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as package:
        for path, content in files.items():
            package.writestr(path, content)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
