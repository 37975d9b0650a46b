"""The deployment examples name what exists: verbs, options, exit codes, ports, variables."""

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from configs.live.schema import load_live
from configs.live.supervision import HealthConfig
from configs.secrets import FILE_SUFFIX
from run.cli import BAD_INPUT, VERBS, build_app
from run.trade.session_runner import HALTED

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "deploy"
UNIT = (FOLDER / "rl-intraday.service").read_text()
GUARD_UNIT = (FOLDER / "rl-intraday-guard@.service").read_text()
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def section(name: str, unit: str = UNIT) -> dict[str, list[str]]:
    """Settings of a section; systemd lets some be given several times."""
    body = unit.split(f"[{name}]")[1].split("\n[")[0]
    settings: dict[str, list[str]] = {}
    for line in body.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            settings.setdefault(key, []).append(value)
    return settings


def require_known(words: list[str]) -> None:
    """Refuse a command line whose verb or options the program lacks."""
    verb, *rest = words
    assert verb in VERBS
    commands = typer.main.get_command(build_app(verb)).commands  # type: ignore[attr-defined]
    options = {option for parameter in commands[verb].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s?", text)[1])  # type: ignore[index]


def test_the_unit_runs_a_verb_with_options_that_exist() -> None:
    (line,) = section("Service")["ExecStart"]
    program, *words = shlex.split(line)
    assert program.endswith("/bin/rl-intraday")
    require_known(words)


def test_the_unit_does_not_start_again_what_a_person_must_look_at() -> None:
    service = section("Service")
    assert service["Restart"] == ["on-failure"]
    assert {int(code) for code in service["RestartPreventExitStatus"][0].split()} == {BAD_INPUT, HALTED}


def test_the_unit_notifies_and_leaves_time_to_flatten() -> None:
    service = section("Service")
    assert (service["Type"], service["KillSignal"]) == (["notify"], ["SIGTERM"])
    assert seconds(service["WatchdogSec"][0]) > HealthConfig().max_tick_age_s
    assert seconds(service["TimeoutStopSec"][0]) >= 60


def test_the_guards_unit_is_of_the_same_user_with_the_same_folder_and_account() -> None:
    service, guard = section("Service"), section("Service", GUARD_UNIT)
    for name in ("User", "DynamicUser", "StateDirectory", "WorkingDirectory", "LoadCredential", "Environment", "UMask"):
        assert guard[name] == service[name], name
    hardening = {
        name for name in service if name.startswith(("Protect", "Restrict", "Private", "System", "Capability"))
    }
    assert {name: guard.get(name) for name in hardening} == {name: service[name] for name in hardening}
    (line,) = guard["ExecStart"]
    words = shlex.split(line)[1:]
    require_known(words)
    assert words[1].startswith(load_live("paper").session_folder)
    assert guard["Restart"] == ["always"]


def test_secrets_come_from_credentials_alone() -> None:
    service = section("Service")
    variable = load_live("paper").account_variable + FILE_SUFFIX
    (credential,) = (value.split(":")[0] for value in service["LoadCredential"])
    assert f"{variable}=%d/{credential}" in service["Environment"]
    trader = COMPOSE["services"]["trader"]
    assert trader["environment"] == {variable: f"/run/secrets/{trader['secrets'][0]}"}
    assert set(trader["secrets"]) == COMPOSE["secrets"].keys()
    assert not re.search(r"\bD?U\d{5,}", UNIT + GUARD_UNIT + CONTAINERFILE + (FOLDER / "compose.yaml").read_text())


def test_the_unit_is_a_well_formed_file_of_three_sections() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "rl-intraday.service"
    unit.write_text(UNIT.replace("/opt/rl-intraday/bin/rl-intraday", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    # Other units of this machine may have their own troubles.
    said = [line for line in checked.stderr.splitlines() if "rl-intraday" in line]
    assert said == []


def test_the_container_runs_the_same_command_as_nobody_in_particular() -> None:
    instructions = dict(re.findall(r"^([A-Z]+) (.+)$", CONTAINERFILE, re.MULTILINE))
    command = yaml.safe_load(instructions["CMD"])
    assert command == COMPOSE["services"]["trader"]["command"]
    require_known(command)
    assert yaml.safe_load(instructions["ENTRYPOINT"]) == ["rl-intraday"]
    assert instructions["USER"] == COMPOSE["services"]["trader"]["user"] == "10001"
    assert "docker.io/library/python:3.12" in instructions["FROM"]


def test_the_container_is_probed_where_the_endpoint_listens() -> None:
    health = HealthConfig()
    assert f"http://{health.host}:{health.port}/health" in CONTAINERFILE


def test_the_container_writes_to_its_volumes_alone() -> None:
    trader = COMPOSE["services"]["trader"]
    assert trader["read_only"] is True
    assert trader["cap_drop"] == ["ALL"]
    writable = [mount.split(":")[1] for mount in trader["volumes"] if not mount.endswith(":ro")]
    assert writable == yaml.safe_load(re.search(r"^VOLUME (.+)$", CONTAINERFILE, re.MULTILINE)[1])  # type: ignore[index]
    assert {mount.split(":")[0] for mount in trader["volumes"][:2]} == COMPOSE["volumes"].keys()
    assert seconds(trader["stop_grace_period"]) >= 60
