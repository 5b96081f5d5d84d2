"""A real Asterisk and, as the people who are called, a real SIPp: plain processes on loopback, nothing installed.

`python -m tests.asterisk.pbx` fetches both into var/servers/asterisk, once per checkout: packages of Debian's unstable
suite, from the mirror that this machine's apt uses, unpacked and run through that suite's own loader. Nobody needs to
be root. The configuration is that of `deploy/asterisk`, with other ports, so that what users copy is what is tested.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from tests.asterisk.people import write_scenario
from tests.mariadb import Unavailable
from tests.servers import FOLDER, loader, private_apt, run, say

TREE = FOLDER / "asterisk"
CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "asterisk"
PASSWORD = "change-me"  # as deploy/asterisk/ari.conf has it
PACKAGES = (
    "asterisk", "asterisk-modules", "asterisk-core-sounds-en-gsm", "sip-tester", "odbc-mariadb",
    "libbsd0", "libc6", "libcap2", "libcrypt1", "libdbus-1-3", "libedit2", "libgcc-s1", "libgsl28", "libgslcblas0",
    "libgsm1", "libjansson4", "libltdl7", "libmariadb3", "libmd0", "libncursesw6", "libodbc2", "libodbcinst2",
    "libpcap0.8t64", "libpugixml1v5", "libsctp1", "libsqlite3-0", "libssl3t64", "libstdc++6", "libsystemd0",
    "libtinfo6", "liburiparser1", "libuuid1", "libxml2-16", "libxslt1.1", "libzstd1", "zlib1g",
)
"""Asterisk, SIPp and what their programs and our modules are linked to: a third of what apt would install."""
ROOTS = ("asterisk", "asterisk-modules", "sip-tester", "odbc-mariadb")
DIRECTORIES = """[directories]
astetcdir => {etc}
astmoddir => {modules}
astvarlibdir => {folder}/var
astdbdir => {folder}/var
astkeydir => {folder}/var
astdatadir => {tree}/usr/share/asterisk
astagidir => {folder}/var
astspooldir => {folder}/spool
astrundir => {folder}/run
astlogdir => {folder}/log
astcachedir => {folder}/cache
[options]
verbose = 3
"""
TONES = """[general]
country = us
[us]
description = United States
ringcadence = 2000,4000
dial = 350+440
busy = 480+620/500,0/500
ring = 440+480/2000,0/4000
congestion = 480+620/250,0/250
"""
BARE = ("features", "udptl", "ccss", "manager", "cdr_manager")
EMPTY = ("acl", "pjproject", "websocket_client")
DIALPLAN = """
; how long our side talks, where a lead says so
[limited]
exten => s,1,Set(TIMEOUT(absolute)=${RINGBACK_MAX_SECONDS})
 same => n,Answer()
 same => n,PlayTones(425)
 same => n,Wait(${talk})
 same => n,Hangup()
; the maximum is left to Ringback
[unlimited]
exten => s,1,Answer()
 same => n,Milliwatt()
"""
START_SECONDS = 60


def version() -> str:
    """Of the unpacked Asterisk. Raises Unavailable."""
    if not (TREE / "version").is_file():
        raise Unavailable(f"Asterisk is not unpacked in {TREE}; fetch it: python -m tests.asterisk.pbx")
    return (TREE / "version").read_text().strip()


def fetch() -> str:
    """Unpack Asterisk and SIPp into var/servers/asterisk, unless they are there. Raises Unavailable."""
    with suppress(Unavailable):
        return version()
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not here: the packages are Debian's")
    work = FOLDER / "asterisk.part"
    apt, archives = private_apt(work), work / "archives"
    say("Downloading Asterisk, SIPp and their libraries (20 MB) ...")
    try:
        run(["sh", "-c", 'cd "$0" && exec "$@"', str(archives), *apt, "download", *PACKAGES], "one has another name")
    except Unavailable:  # a library was renamed: what apt would install, three times as much
        run([*apt, "install", "--download-only", *ROOTS], "the packages could not be downloaded")
    for alias, target in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin"), ("sbin", "usr/sbin")):
        (work / "tree" / target).mkdir(parents=True, exist_ok=True)
        (work / "tree" / alias).symlink_to(target)
    packages = sorted(archives.glob("*.deb"))
    for package in packages:
        run(["dpkg-deb", "-x", str(package), str(work / "tree")], f"{package.name} could not be unpacked")
    tree = work / "tree"
    modules = [tree / one for one in _modules_of(tree)]
    programs = [tree / "usr/sbin/asterisk", tree / "usr/bin/sipp", *modules]
    lacking = {line.split()[0] for one in programs for line in _linked(tree, one) if "not found" in line}
    if lacking:
        raise Unavailable(f"libraries that the packages have under other names by now: {', '.join(sorted(lacking))}")
    found = next(one.name for one in packages if one.name.startswith("asterisk_")).split("_")[1].replace("%3a", ":")
    shutil.rmtree(TREE, ignore_errors=True)
    tree.rename(TREE)
    shutil.rmtree(work)
    (TREE / "version").write_text(f"{found}\n")
    return found


def _modules_of(tree: Path) -> list[str]:
    folder = _modules(tree).relative_to(tree)
    lines = (CONFIGURATION / "modules.conf").read_text().splitlines()
    return [str(folder / line.removeprefix("load = ")) for line in lines if line.startswith("load = ")]


def _modules(tree: Path) -> Path:
    found = sorted(tree.glob("usr/lib/*-linux-gnu/asterisk/modules"))
    if not found:
        raise Unavailable(f"{tree} has no modules of Asterisk")
    return found[0]


def _linked(tree: Path, program: Path) -> list[str]:
    if not program.is_file():
        return [f"{program.name} => not found"]
    command = loader(tree)
    done = subprocess.run([command[0], "--list", *command[1:], str(program)], capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with closing(socket.socket(socket.AF_INET, kind)) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Pbx:
    """One Asterisk in `folder`. Its ports stay the same over `kill` and `start`."""

    def __init__(self, folder: Path, trunk_port: int, *, dialplan: str = "", odbc: int | None = None) -> None:
        version()
        self.folder, self.trunk_port, self.odbc = folder, trunk_port, odbc
        self.dialplan = DIALPLAN + dialplan
        self.qualify = 0  # SIPp answers no OPTIONS
        self.port, self.sip_port = free_port(), free_port(socket.SOCK_DGRAM)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Pbx:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    def records_url(self, kind: str) -> str:
        """Of `cel` or `cdr`, for a reader on this machine."""
        if self.odbc:
            return f"mysql+pymysql://reader:change-me-too@127.0.0.1:{self.odbc}/asterisk"
        return f"sqlite:///{self.folder / 'log' / f'ringback_{kind}.db'}"

    def keys(self, **changes: str) -> dict[str, str]:
        """The settings by which Ringback calls over it."""
        return {
            "ASTERISK_URL": self.url, "ASTERISK_USERNAME": "ringback", "ASTERISK_PASSWORD": PASSWORD,
            "ASTERISK_ENDPOINT": "PJSIP/{number}@trunk", "ASTERISK_CALLER_ID": '"Ringback" <+56220000000>',
            "ASTERISK_CEL_URL": self.records_url("cel"), "ASTERISK_CDR_COMPLETE": "yes", **changes,
        }  # fmt: skip

    def start(self) -> None:
        """Returns when it is booted. Raises Unavailable."""
        self.configure()
        console = self.folder / "console"
        odbc = {"ODBCSYSINI": str(self.folder / "etc"), "ODBCINI": str(self.folder / "etc" / "odbc.ini")}
        with console.open("wb") as out:
            self.process = subprocess.Popen(
                [*_loader(), str(TREE / "usr/sbin/asterisk"), "-f", "-n", "-vvv", "-C", str(self._etc("asterisk"))],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "TZ": "UTC", **odbc},
            )
        deadline = time.monotonic() + START_SECONDS
        while "\nAsterisk Ready" not in self.console:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"Asterisk did not start: {self.console[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As a crash or a power cut does."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def cli(self, command: str) -> str:
        """What `asterisk -rx` says."""
        told = [*_loader(), str(TREE / "usr/sbin/asterisk"), "-C", str(self._etc("asterisk")), "-rx", command]
        return subprocess.run(told, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout

    def channels(self) -> int:
        words = self.cli("core show channels count").split()
        return int(words[0]) if words and words[0].isdigit() else 0

    def configure(self) -> None:
        """deploy/asterisk with the ports of this one."""
        for name in ("etc", "log", "run", "spool", "var", "cache"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for source in CONFIGURATION.glob("*.conf"):
            shutil.copy(source, self._etc(source.stem))
        where = {"etc": self.folder / "etc", "modules": _modules(TREE), "folder": self.folder, "tree": TREE}
        self._etc("asterisk").write_text(DIRECTORIES.format(**where))
        self._etc("indications").write_text(TONES)
        self._etc("logger").write_text("[general]\n[logfiles]\nconsole => notice,warning,error,verbose(3)\n")
        self._etc("rtp").write_text("[general]\nrtpstart = 22000\nrtpend = 29998\nicesupport = no\n")
        for name in (*BARE, *EMPTY):
            self._etc(name).write_text("[general]\n" if name in BARE else "")
        self._change("http", {"bindport = 8088": f"bindport = {self.port}"})
        self._change("pjsip", {
            "0.0.0.0:5060": f"127.0.0.1:{self.sip_port}",
            "sip:sip.example.com:5060": f"sip:127.0.0.1:{self.trunk_port}",
            "match = sip.example.com": "match = 127.0.0.1",
            "qualify_frequency = 30": f"qualify_frequency = {self.qualify}\nqualify_timeout = 1.0",
        })  # fmt: skip
        with self._etc("extensions").open("a") as more:
            more.write(self.dialplan)
        if self.odbc:
            (self.folder / "etc" / "odbc.ini").write_text((CONFIGURATION / "odbc.ini").read_text().replace(
                "3306", str(self.odbc)
            ))  # fmt: skip
            driver = next(TREE.glob("usr/lib/*/odbc/libmaodbc.so"))
            (self.folder / "etc" / "odbcinst.ini").write_text(f"[MariaDB Unicode]\nDriver = {driver}\nThreading = 0\n")
        else:
            for name in ("res_odbc", "cdr_adaptive_odbc", "cel_odbc"):
                self._etc(name).write_text("")

    def _etc(self, name: str) -> Path:
        return self.folder / "etc" / f"{name}.conf"

    def _change(self, name: str, changes: Mapping[str, str]) -> None:
        text = self._etc(name).read_text()
        for old, new in changes.items():
            assert old in text, f"deploy/asterisk/{name}.conf has no {old!r} any more"
            text = text.replace(old, new)
        self._etc(name).write_text(text)


class People:
    """SIPp as everybody who is called, on `port`. What was said on the wire is in `messages`."""

    def __init__(self, folder: Path) -> None:
        version()
        self.folder, self.port = folder, free_port(socket.SOCK_DGRAM)
        self.messages = folder / "sip.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> People:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scenario = write_scenario(self.folder / "people.xml")
        with (self.folder / "sipp.log").open("ab") as out:
            self.process = subprocess.Popen(
                [
                    *_loader(), str(TREE / "usr/bin/sipp"), "-sf", str(scenario), "-i", "127.0.0.1",
                    "-p", str(self.port), "-ci", "127.0.0.1", "-cp", str(free_port(socket.SOCK_DGRAM)),
                    "-mp", str(free_port(socket.SOCK_DGRAM)), "-trace_msg", "-message_file", str(self.messages),
                    "-message_overwrite", "false", "-nostdin", "-buff_size", "2097152",
                ],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, cwd=self.folder,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _is_bound(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "sipp.log").read_text(errors="replace")
                raise Unavailable(f"SIPp did not start: {said[-800:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """As a trunk that goes away: nobody is told."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()


def _is_bound(port: int) -> bool:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _loader() -> list[str]:
    program, option, folders = loader(TREE)
    odbc = next(iter(TREE.glob("usr/lib/*-linux-gnu/odbc")), TREE)
    return [program, option, f"{folders}:{odbc}"]


def main() -> int:
    try:
        say(f"Asterisk {fetch()}, with SIPp, in {TREE}")
    except Unavailable as error:
        print(f"Asterisk cannot be had: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
