"""Other servers than Debian's MariaDB, as plain processes: Oracle's MySQL and a newer MariaDB.

`python -m tests.servers mysql` fetches one into var/servers/ and says which version it got. The packages are
those of Debian's unstable suite, from the mirror that this machine's apt uses; they are unpacked beside the
system and run through that suite's own loader, so nothing is installed and nobody needs to be root.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mariadb import PrivateMariaDB, Unavailable

FOLDER = Path(__file__).resolve().parents[1] / "var" / "servers"
PACKAGES = {"mysql": "mysql-server-core", "mariadb-11.8": "mariadb-server-core"}
SYSTEM_TABLES = (
    "mariadb_system_tables.sql", "mariadb_performance_tables.sql", "mariadb_system_tables_data.sql",
    "fill_help_tables.sql", "maria_add_gis_sp_bootstrap.sql", "mariadb_sys_schema.sql",
)


def chosen() -> str:
    """Which server the tests use: `make test SERVER=mysql` says so."""
    return os.environ.get("RINGBACK_TEST_SERVER") or "mariadb"


def is_database_half() -> bool:
    """With a server named, only what asks a server is run: the rest does not change with it."""
    return chosen() != "mariadb"


def private_server(*, durable: bool = False, options: Sequence[str] = ()) -> PrivateMariaDB:
    """The chosen server, not yet started. Raises Unavailable."""
    kinds = {"mariadb": PrivateMariaDB, "mysql": PrivateMySQL, "mariadb-11.8": UnpackedMariaDB}
    if chosen() not in kinds:
        raise Unavailable(f"there is no server {chosen()!r} for tests; choose one of {', '.join(kinds)}")
    return kinds[chosen()](durable=durable, options=options)


class PrivateMySQL(PrivateMariaDB):
    """Oracle's MySQL with its own defaults: its character set, its collation, its SQL mode, its binary log."""

    def _create(self) -> None:
        (self.folder / "tmp").mkdir()
        made = subprocess.run(
            [*self._base(), "--initialize-insecure"], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if made.returncode:
            raise Unavailable(f"mysqld could not make its data: {made.stderr[-1000:]}")
        self._write_init()

    def _command(self) -> list[str]:
        fast = ["--innodb-flush-method=nosync", "--innodb-doublewrite=OFF", "--sync-binlog=0"]
        return [
            *self._base(), *self._shared_options(), "--mysqlx=OFF", "--performance-schema=OFF",
            *([] if self.durable else fast), *self.options,
        ]

    def _base(self) -> list[str]:
        tree = unpacked("mysql")
        share = tree / "usr/share/mysql"
        return [
            *loader(tree), str(tree / "usr/sbin/mysqld"), "--no-defaults", f"--user={getpass.getuser()}",
            f"--basedir={tree / 'usr'}", f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={tree / 'usr/lib/mysql/plugin'}/", "--secure-file-priv=NULL",
            f"--datadir={self.folder / 'data'}", f"--innodb-redo-log-capacity={self.log_size}",
        ]


class UnpackedMariaDB(PrivateMariaDB):
    """A MariaDB newer than the system's."""

    def _create(self) -> None:
        tree = unpacked("mariadb-11.8")
        (self.folder / "tmp").mkdir()
        (self.folder / "data").mkdir()
        tables = "".join((tree / "usr/share/mariadb" / one).read_text() for one in SYSTEM_TABLES)
        made = subprocess.run(
            [
                *self._program(), "--bootstrap", f"--datadir={self.folder / 'data'}",
                f"--tmpdir={self.folder / 'tmp'}", f"--innodb-log-file-size={self.log_size}",
            ],
            input=f"CREATE DATABASE mysql;\nUSE mysql;\n{tables}", capture_output=True, text=True,
        )
        if made.returncode:
            raise Unavailable(f"mariadbd could not make its data: {made.stderr[-1000:]}")
        self._write_init()

    def _program(self) -> list[str]:
        tree = unpacked("mariadb-11.8")
        share = tree / "usr/share/mariadb"
        return [
            *loader(tree), str(tree / "usr/sbin/mariadbd"), "--no-defaults", f"--user={getpass.getuser()}",
            f"--basedir={tree / 'usr'}", f"--lc-messages-dir={share}", f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={tree / 'usr/lib/mysql/plugin'}/",
        ]


def unpacked(name: str) -> Path:
    """Where this server was unpacked. Raises Unavailable."""
    tree = FOLDER / name
    if not (tree / "version").is_file():
        raise Unavailable(f"{name} is not unpacked in {tree}; fetch it: python -m tests.servers {name}")
    return tree


def loader(tree: Path) -> list[str]:
    """How a program of that tree is begun with its own C library, whatever the system's is."""
    found = sorted(tree.glob("usr/lib*/ld-linux*.so.*")) or sorted(tree.glob("usr/lib/*-linux-gnu/ld-linux*.so.*"))
    folders = ":".join(str(one) for one in sorted(tree.glob("usr/lib/*-linux-gnu*")))
    if not found:
        raise Unavailable(f"{tree} has no loader; delete the folder and fetch the server again")
    return [str(found[0]), "--library-path", folders]


def fetch(name: str) -> str:
    """Unpack this server into var/servers/, unless it is there. Returns its version. Raises Unavailable."""
    tree = FOLDER / name
    if (tree / "version").is_file():
        return (tree / "version").read_text().strip()
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not here: the packages are Debian's")
    work = FOLDER / f"{name}.part"
    apt = private_apt(work)
    say(f"Downloading {PACKAGES[name]} and the libraries that it needs (60 MB) ...")
    run([*apt, "install", "--download-only", PACKAGES[name]], "the packages could not be downloaded")
    say(f"Unpacking into {tree} (330 MB) ...")
    packages = sorted((work / "archives").glob("*.deb"))
    for package in packages:
        run(["dpkg-deb", "-x", str(package), str(work / "tree")], f"{package.name} could not be unpacked")
    server = next(one.name for one in packages if one.name.startswith(f"{PACKAGES[name]}_"))
    version = server.split("_")[1].replace("%3a", ":")
    wanted = name.partition("-")[2]
    if wanted and not version.partition(":")[2].startswith(f"{wanted}."):
        shutil.rmtree(work)
        raise Unavailable(f"the suite has {PACKAGES[name]} {version} by now, not {wanted}")
    shutil.rmtree(tree, ignore_errors=True)
    (work / "tree").rename(tree)
    shutil.rmtree(work)
    (tree / "version").write_text(f"{version}\n")
    return version


def private_apt(work: Path) -> list[str]:
    """An apt with a state of its own under `work` that has read Debian's unstable suite. Raises Unavailable."""
    mirror = find_mirror()
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "archives/partial", "tree"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f" [signed-by={keys}]" if keys.is_file() else ""
    (work / "sources.list").write_text(f"deb{signed} {mirror} sid main\n")
    options = [
        f"Dir::Etc::sourcelist={work / 'sources.list'}", "Dir::Etc::sourceparts=/dev/null",
        "Dir::Etc::preferences=/dev/null", "Dir::Etc::preferencesparts=/dev/null",
        f"Dir::State::lists={work / 'lists'}",
        f"Dir::State::status={work / 'status'}", f"Dir::Cache={work}", f"Dir::Cache::archives={work / 'archives'}",
        "APT::Install-Recommends=false", f"APT::Sandbox::User={getpass.getuser()}", "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "-q", "-y", *(word for one in options for word in ("-o", one))]
    say(f"Reading what Debian's unstable suite has ({mirror}) ...")
    run([*apt, "update"], "the mirror's list could not be read: is there a network?")
    return apt


def find_mirror() -> str:
    """The mirror that this machine's apt takes Debian from. Raises Unavailable."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format=$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian"],
        capture_output=True, text=True,
    ).stdout.split()
    if not targets:
        raise Unavailable("apt knows no mirror of Debian here; is this Debian, and was `apt-get update` run?")
    return targets[0]


def run(command: list[str], failed: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise Unavailable(f"{failed}\n{(done.stderr or done.stdout).strip()[-1000:]}")


def say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PACKAGES:
        print(f"Say which server: python -m tests.servers {'|'.join(PACKAGES)}", file=sys.stderr)
        return 2
    name = arguments[0]
    try:
        version = fetch(name)
    except Unavailable as error:
        print(f"{name} cannot be had: {error}", file=sys.stderr)
        return 1
    say(f"{name}: version {version}, in {FOLDER / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
