"""Run one long step and say how far it is: `steps.py "What this does" [--lock VENV FILE...] -- COMMAND...`.

For steps that would otherwise be silent for a minute, such as pip and apt. What the command prints is kept back;
on a terminal one line shows its latest words and the seconds that went by, elsewhere a line is added every few
seconds. If it fails all that it said is shown, and its exit code is passed on. With --lock the packages of these
lists are counted, and those that are in the environment, so that "17 of 44" can be said. Runs before anything is
installed: standard library alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TERMINAL, ELSEWHERE = 0.2, 5.0
"""Seconds between two signs of life."""


def main(arguments: list[str]) -> int:
    own, _, command = _split(arguments, "--")
    title, _, locks = _split(own, "--lock")
    environment, locks = Path(locks[0] if locks else "."), locks[1:]
    packages = len({name for lock in locks for name in packages_in(Path(lock))})
    count = f": {packages} packages, pinned in {' and '.join(locks)}" if packages else ""
    print(" ".join(title) + count + " ...", flush=True)
    return Step(command, packages, environment).run()


class Step:
    """One command, its output so far, and the words for where it stands."""

    def __init__(self, command: list[str], packages: int, environment: Path) -> None:
        self._command, self._packages, self._environment = command, packages, environment
        self._said: list[str] = []
        self._got = 0
        self._shown = 0.0
        self._is_terminal = sys.stdout.isatty()

    def run(self) -> int:
        begin = self._shown = time.monotonic()
        try:
            running = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                text=True, errors="replace", env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        except OSError as error:
            print(f"{self._command[0]}: {error.strerror}", file=sys.stderr)
            return 127
        reader = threading.Thread(target=self._read, args=(running,), daemon=True)
        reader.start()
        while reader.is_alive():
            reader.join(TERMINAL)
            now = time.monotonic()
            if now - self._shown >= (TERMINAL if self._is_terminal else ELSEWHERE):
                self._show(now - begin)
                self._shown = now
        code = running.wait()
        if self._is_terminal:
            print("\r\033[K", end="", flush=True)
        if code:
            print("".join(self._said), end="", file=sys.stderr, flush=True)
        else:
            print(f"  done in {time.monotonic() - begin:.0f} s", flush=True)
        return code

    def _read(self, running: subprocess.Popen[str]) -> None:
        assert running.stdout is not None
        for line in running.stdout:
            self._said.append(line)
            self._got += line.startswith(("Collecting ", "Requirement already satisfied: "))

    def _show(self, seconds: float) -> None:
        told = (line.strip() for line in reversed(self._said))
        last = next((line for line in told if line and not line.startswith("WARNING: ")), "")
        is_over = last.startswith(("Installing collected", "Successfully"))
        got = len(list(self._environment.glob("lib/*/site-packages/*.dist-info"))) if is_over else self._got
        count = f"{min(got, self._packages)} of {self._packages} " if self._packages and got else ""
        text = f"  {seconds:3.0f} s  {count}{_short(last)}"
        if self._is_terminal:
            print("\r" + text[: shutil.get_terminal_size().columns - 1] + "\033[K", end="", flush=True)
        else:
            print(text[:110], flush=True)


def packages_in(lock: Path) -> Iterator[str]:
    """The names of what a list pins, and of what the lists pin that it includes."""
    for line in lock.read_text("utf-8").splitlines():
        if line.startswith("-r "):
            yield from packages_in(lock.parent / line.removeprefix("-r ").strip())
        elif found := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", line):
            yield found[1]


def _short(line: str) -> str:
    """pip's and apt's words without what only they need."""
    if line.startswith("Installing collected packages:"):
        return "are unpacked"
    line = re.sub(r"^Successfully installed .*", "are installed", line)
    return re.sub(r"\s*\((from|line|[\d.]+ [kM]B).*", "", line)


def _split(words: list[str], mark: str) -> tuple[list[str], str, list[str]]:
    if mark not in words:
        return words, "", []
    place = words.index(mark)
    return words[:place], mark, words[place + 1 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
