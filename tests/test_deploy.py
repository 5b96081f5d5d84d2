"""What deploy/ and docs/operations.md name is in the program: commands, options, settings, files, metrics."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cli.main import COMMANDS, cli
from scheduler.config import Settings
from scheduler.events import Reporter
from scheduler.service.notify import Notifier
from scheduler.web.metrics import Meter
from tests.each import each

ROOT = Path(__file__).resolve().parent.parent
DEPLOY, PAGE = ROOT / "deploy", ROOT / "docs" / "operations.md"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
RULES = DEPLOY / "prometheus" / "ringback.rules.yml"
FILES = [
    *UNITS, DEPLOY / "Dockerfile", DEPLOY / "compose.yaml", DEPLOY / "Caddyfile", DEPLOY / "nginx.conf",
    DEPLOY / "ringback.env.example", DEPLOY / "prometheus" / "scrape.yml", RULES, DEPLOY / "grants.sql", PAGE,
]  # fmt: skip
OF_OTHERS = {"RINGBACK_SITE", "RINGBACK_UPSTREAM", "RINGBACK_CONFIG"}
"""What the proxies read, and the one name that says where the settings are."""


def test_every_command_that_is_written_there_exists_with_its_options():
    written = [(file, words) for file in FILES for words in commands_in(file)]

    assert len(written) > 40
    assert {(file.name, " ".join(words), wrong) for file, words in written if (wrong := misuse_of(words))} == set()


def test_every_setting_that_is_named_there_exists():
    known = {f"RINGBACK_{name.upper()}" for name in Settings.model_fields} | OF_OTHERS

    named = {name for file in FILES for name in re.findall(r"\bRINGBACK_[A-Z_]+[A-Z]\b", file.read_text("utf-8"))}
    assert len(named) > 8
    assert named - known == set()


def test_the_example_of_settings_can_be_read(tmp_path):
    from scheduler.config import read_settings

    example = (DEPLOY / "ringback.env.example").read_text("utf-8")
    (tmp_path / "env").write_text(re.sub(r"^#(RINGBACK_)", r"\1", example, flags=re.M))

    settings = read_settings(_env_file=tmp_path / "env")

    assert settings.log_format == "json"
    assert settings.public_url == "https://calls.example.com"
    assert settings.problems() == []


def test_every_file_that_is_named_there_is_in_the_repository():
    named = {
        (PAGE.parent / path).resolve() for path in re.findall(r"\]\((\.\./[^)#]+)\)", PAGE.read_text("utf-8"))
    } | {ROOT / path for file in FILES for path in re.findall(r"\bdeploy/[\w./-]*\w", file.read_text("utf-8"))}

    assert {path for path in named if not path.exists() and path.name != "secrets"} == set()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text("utf-8"), flags=re.M)
    sources = {ROOT / name for line in copied for name in line.split()}
    assert {path for path in sources if not path.exists()} == set()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert {path.name for path in sources} == allowed, "the image is built from what may be sent, and from all of it"


def test_every_metric_that_is_watched_there_is_measured():
    text = "\n".join(file.read_text("utf-8") for file in (RULES, PAGE))
    named = set(re.findall(r"\bringback_[a-z_]+[a-z]\b", text))
    source = (ROOT / "scheduler" / "web" / "metrics.py").read_text("utf-8")
    measured = set(re.findall(r'"(ringback_[a-z_]+)"', source))
    measured |= {family.name for registry in (Meter().registry, Reporter().registry) for family in registry.collect()}
    known = {name + ending for name in measured for ending in ("", "_total", "_info", "_bucket")}

    assert named - known - {"ringback_restored"} == set()


# --- the image and the containers -------------------------------------------------------------------------------------


def test_the_image_pins_what_builds_the_wheel_with_its_hashes():
    pinned = subprocess.run(
        ["awk", r"/^setuptools==/ { found = 1 } found { print } found && !/\\$/ { exit }", "constraints-dev.txt"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout

    assert r"awk '/^setuptools==/ { found = 1 } found { print } found && !/\\$/ { exit }'" in (
        (DEPLOY / "Dockerfile").read_text("utf-8")
    )
    one_hash = r"    --hash=sha256:[0-9a-f]{64}"
    assert re.fullmatch(rf"setuptools==[\d.]+ \\\n({one_hash} \\\n)*{one_hash}\n", pinned)


def test_the_containers_hold_no_secret_and_may_do_little():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    services = compose["services"]

    for name in ("migrate", "daemon", "web"):
        one = services[name]
        assert one["read_only"] and one["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert Path(one["build"]["dockerfile"]) == Path("deploy/Dockerfile")
        secrets = {f"/run/secrets/{key}" for key in one["secrets"]}
        assert {value for key, value in one["environment"].items() if key.endswith(("_FILE", "_CONFIG"))} <= secrets
        assert not [key for key in one["environment"] if re.search("PASSWORD|KEY$|TOKEN|DATABASE_URL", key)], name
    assert all(port.startswith("127.0.0.1:") for port in services["web"]["ports"])
    assert "ports" not in services["db"] and "ports" not in services["daemon"]
    # Nothing is set on the server that the tables would depend on.
    assert [one for one in services["db"]["command"] if "trust" in one or "collation" in one] == []
    used = {key for one in services.values() for key in one.get("secrets", ())}
    assert used == set(compose["secrets"])
    volumes = {volume.partition(":")[0] for one in services.values() for volume in one.get("volumes", ())}
    assert {one for one in volumes if not one.startswith(".")} == set(compose["volumes"])


def test_a_proxy_that_compose_trusts_is_one_of_its_own_network():
    import ipaddress

    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    [network] = compose["networks"]["outside"]["ipam"]["config"]
    trusted = compose["services"]["web"]["environment"]["RINGBACK_TRUSTED_PROXIES"]

    assert ipaddress.ip_network(trusted) == ipaddress.ip_network(network["subnet"])
    assert Settings(trusted_proxies=trusted).trusted_proxies == trusted


def test_what_is_proxied_is_what_the_program_serves():
    from scheduler.web.uploads import LARGEST_BODY

    nginx, caddy = ((DEPLOY / name).read_text("utf-8") for name in ("nginx.conf", "Caddyfile"))

    [in_nginx] = re.findall(r"client_max_body_size (\d+)m;", nginx)
    [in_caddy] = re.findall(r"max_size (\d+)MB", caddy)
    assert int(in_nginx) * 2**20 > LARGEST_BODY, "it is refused by us, with a sentence"
    assert int(in_caddy) * 10**6 > LARGEST_BODY
    for text in (nginx, caddy):
        assert "/live" in text and "/metrics" in text and "/api/v1/metrics" in text
    assert "proxy_add_x_forwarded_for;" not in nginx
    assert not re.search(r"return 30\d \S*\$(http_)?host", nginx), "a redirect to whatever was asked for"
    logged = re.search(r"log_format ringback (.+?);", nginx, re.S)
    assert logged and not re.search(r"\$(request|request_uri|args|query_string|http_referer)\b", logged[1])
    assert all(line.split()[-1] == "ringback;" for line in nginx.splitlines() if "access_log" in line)


# --- systemd ----------------------------------------------------------------------------------------------------------


@each("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_units_wait_for_readiness_and_are_watched_and_hardened(unit):
    set_to = settings_of(unit)

    assert set_to["Type"] == ["notify"] and int(set_to["WatchdogSec"][0]) >= 30
    assert set_to["ExecStart"][0].startswith("/opt/ringback/bin/ringback ")
    for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID", "MemoryDenyWriteExecute"):
        assert set_to[name] == ["yes"], name
    assert set_to["MemoryMax"] and set_to["TasksMax"]
    assert set_to["ProtectSystem"] == ["strict"] and set_to["CapabilityBoundingSet"] == [""]
    given = {one.partition(":")[0] for one in set_to["LoadCredential"]}
    used = {path for one in set_to["Environment"] for path in re.findall(r"%d/(\S+)", one)}
    assert used == given
    known = Notifier({"NOTIFY_SOCKET": "/run/none", "WATCHDOG_USEC": f"{set_to['WatchdogSec'][0]}000000"})
    assert known.watchdog == float(set_to["WatchdogSec"][0])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_the_units(unit, tmp_path):
    program = Path(sys.executable).parent / "ringback"
    text = unit.read_text("utf-8").replace("/opt/ringback/bin/ringback", str(program))
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^(User|Group)=.*", r"\1=root", text, flags=re.M))

    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, env=os.environ)

    ours = [line for line in (done.stdout + done.stderr).splitlines() if unit.stem in line]
    assert (done.returncode, ours) == (0, [])


# --- what this file needs ---------------------------------------------------------------------------------------------


def commands_in(file: Path) -> Iterator[list[str]]:
    """The arguments of every `ringback ...` that is written there."""
    text = file.read_text("utf-8")
    if file.name == "compose.yaml":
        for one in yaml.safe_load(text)["services"].values():
            if "image" in one and one["image"].startswith("ringback"):
                yield [str(word) for word in one["command"]]
        text = re.sub(r"docker compose run --rm (?:migrate$|web )", "ringback ", text, flags=re.M)
    for line in text.splitlines():
        line = line.removeprefix("#").strip()
        places = re.findall(r"`(ringback [^`]+)`", line) if "`" in line else [line]
        for place in places:
            found = re.match(r"(?:ExecStart=|RINGBACK_\w+=\S+ )?(?:/opt/ringback/bin/)?ringback ([a-z-].*)", place)
            if found and not place.startswith("ringback=") and found[1].split()[0] in COMMANDS:
                yield shlex.split(found[1].partition("|")[0].split("&&")[0], comments=True)


def misuse_of(words: list[str]) -> str | None:
    """What is wrong with these arguments: a command or an option that there is not."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest:
            return None
        name = rest.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"there is no command {name}"
        command = found
    options: dict[str, Any] = {name: one for one in command.params for name in (*one.opts, *one.secondary_opts)}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    return f"there is no option {unknown[0]}" if unknown else None


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found
