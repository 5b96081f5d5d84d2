"""Run a command on a busy machine, several times, and print how each run went: tests must not care.

    python -m tests.busy [--spinners 4] [--times 5] [COMMAND ...]

Beside the command, by default `make test`, run so many endless loops and a compiler that compiles all of this again
and again. `--spinners 0` leaves the machine quiet, to see what a run costs. Processor seconds are those of the
command and of everything that it started, servers included. Exit code 1 when a run failed; its output is then kept.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PR_SET_CHILD_SUBREAPER = 36
SPIN = "while True: pass"
COMPILE = "import compileall\nwhile True: compileall.compile_dir({root!r}, force=True, quiet=2, maxlevels=4)"


@dataclass(frozen=True)
class Run:
    code: int
    seconds: float
    cpu: float
    last: str
    output: Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.busy", description=__doc__)
    parser.add_argument("--spinners", type=int, default=4)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("command", nargs=argparse.REMAINDER, default=[])
    options = parser.parse_args()
    command = [one for one in options.command if one != "--"] or ["make", "test"]
    # What a test leaves to itself comes to us when it ends, and its processor time with it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    runs = []
    for number in range(1, options.times + 1):
        tell(f"run {number} of {options.times}: {' '.join(command)}")
        with tempfile.TemporaryDirectory(prefix="busy") as scratch, busy(options.spinners, scratch):
            runs.append(run(command))
        tell(f"    {describe(runs[-1])}")
    print(f"{os.cpu_count()} cores, {options.spinners} spinners")
    print(f"{'run':>3}  {'exit':>4}  {'seconds':>7}  {'processor':>9}  result")
    for number, one in enumerate(runs, 1):
        print(f"{number:>3}  {one.code:>4}  {one.seconds:>7.0f}  {one.cpu:>9.0f}  {one.last}")
        if not one.code:
            one.output.unlink()
        else:
            print(f"     its output is in {one.output}")
    return int(any(one.code for one in runs))


@contextlib.contextmanager
def busy(spinners: int, scratch: str) -> Iterator[None]:
    programs = [SPIN] * spinners + [COMPILE.format(root=str(ROOT))] * bool(spinners)
    running = [
        subprocess.Popen([sys.executable, "-c", one], env={**os.environ, "PYTHONPYCACHEPREFIX": scratch})
        for one in programs
    ]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def run(command: Sequence[str]) -> Run:
    """Run it, and wait for what it leaves behind too."""
    handle, name = tempfile.mkstemp(prefix="busy-", suffix=".log")
    began, before = time.monotonic(), spent()
    with os.fdopen(handle, "wb") as out:
        child = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGINT)
            raise
    seconds = time.monotonic() - began
    for _ in range(50):
        if not bury():
            break
        time.sleep(0.1)
    said = [line for line in Path(name).read_text(errors="replace").splitlines() if line.strip()]
    results = [line.strip("= ") for line in said if " passed" in line or " failed" in line]
    return Run(code, seconds, spent() - before, "; ".join(results) or (said or [""])[-1][:100], Path(name))


def bury() -> bool:
    """Take in the ends of orphans. Are there some left?"""
    ours = True
    while ours:
        found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        ours = False
        for pid in map(int, found):
            if "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]:
                os.waitpid(pid, 0)
                ours = True
    return len(found) > 0


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def describe(one: Run) -> str:
    return f"exit {one.code} after {one.seconds:.0f} s and {one.cpu:.0f} s of processor time: {one.last}"


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
