"""What is served as files: third-party ones as they were published, ours without a word to other hosts."""

from __future__ import annotations

import hashlib
import re

from scheduler.web.app import STATIC

VENDOR = STATIC / "vendor"
ELSEWHERE = re.compile(r"""(?:src|href|url)\s*[=(]\s*["']?((?:https?:)?//[^"')\s]+)""")


def test_third_party_files_are_as_they_were_published_each_with_its_licence():
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text("utf-8").splitlines() if line[0] != "#"]

    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for _, name in lines} == {
        name: expected for expected, name in lines
    }
    there = {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if file.is_file()}
    assert there == {name for _, name in lines} | {"SHA256SUMS"}
    for folder in VENDOR.iterdir():
        assert folder.is_file() or (folder / "LICENSE").is_file(), folder.name


def test_pages_and_files_of_ours_load_nothing_from_elsewhere():
    ours = [*STATIC.glob("*.*"), *(STATIC.parent / "templates").rglob("*.html")]

    found = {
        (file.name, address)
        for file in ours
        for address in ELSEWHERE.findall(file.read_text("utf-8"))
    }

    assert len(ours) > 20 and found == set()
