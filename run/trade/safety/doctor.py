"""`rl-intraday doctor`: is everything ready for trading, and if not, what to do."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from adapters.ibkr.connection import GatewayError, gateway
from adapters.ibkr.preflight import Finding, Wanted, check_followed, check_gateway, check_traded
from catalogs.errors import InputError
from catalogs.sessions import session_calendar
from configs.live.contract import WantedContract
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import Bundle, load_bundle
from run.console import print_json, print_result
from run.trade.safety import doctor_checks as local
from run.trade.safety.doctor_context import ContextFindings, examine_context
from run.trade.session.advice import flatten_command
from run.trade.session.contract import contracts_on, traded_calendars, trading_day

NOT_READY = 1
COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def run_doctor(*, configuration: str, bundle: Path | None, port: int | None, folder: Path, as_json: bool) -> None:
    """Check gateway, account, contract, data, margin, clock, bundle, disk, stores and calendar.

    The options are those of the verb; see `run.trade.commands.doctor`.
    """
    config = load_live(configuration)
    reached = msgspec.structs.replace(config, port=port or config.port)
    findings = examine(reached, flatten_command(configuration, port=port), bundle, folder)
    passed = all(finding.state != "fail" for finding in findings)
    if as_json:
        print_json({"passed": passed, "checks": [asdict(finding) for finding in findings]})
    else:
        print_result(_table(findings))
    if not passed:
        raise typer.Exit(NOT_READY)


def examine(config: LiveConfig, flatten_with: str, bundle: Path | None, folder: Path) -> list[Finding]:
    """All checks, in the order in which a session needs them.

    Parameters
    ----------
    config : LiveConfig
    flatten_with : str
        Command line that closes everything at this gateway.
    bundle : Path or None
        Bundle that is to trade.
    folder : Path
        Session folder; need not exist yet.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    now_ns = time.time_ns()
    calendars, loaded = traded_calendars(config), _loaded(bundle)
    day = trading_day(session_calendar(calendars[0]), now_ns)
    context = ContextFindings([], {}) if loaded is None else examine_context(loaded, config, day, now_ns)
    try:
        contracts = [*contracts_on(config, day).values()]
    except InputError as error:
        fix = "name the bundle's contract under `contract` of the configuration, or each of several under `contracts`"
        findings = [Finding("contract", "fail", str(error), fix)]
    else:
        findings = _broker(config, contracts, flatten_with, context.wanted)
        findings += [] if loaded is None else [local.check_match(loaded, config, day)]
        for contract in contracts:
            findings += local.check_expiry(contract, day, now_ns, config.sessions_before_expiry)
        findings += [local.check_calendar(name) for name in calendars]
    return findings + context.findings + _machine(config, bundle, existing)


def _loaded(bundle: Path | None) -> Bundle | None:
    try:
        return None if bundle is None else load_bundle(bundle)
    except InputError:
        return None  # the check of the bundle says why


def _broker(
    config: LiveConfig, contracts: Sequence[WantedContract], flatten_with: str, followed: Mapping[str, Wanted]
) -> list[Finding]:
    first, *others = (
        Wanted(each.symbol, each.kind, each.exchange, each.expiry, config.account()) for each in contracts
    )
    try:
        with gateway(config.host, config.port, (config.doctor_client_id,), config.request_timeout_s) as client:
            findings = check_gateway(client, first, flatten_with)
            for wanted in others:
                findings += check_traded(client, wanted)
            for name, each in followed.items():
                findings += check_followed(client, each, f"context {name}")
            return findings
    except (GatewayError, OSError, TimeoutError) as error:
        found = str(error) or "the gateway stopped answering"
        fix = "start IB Gateway, log in, and allow socket clients (Configuration, API, Settings)"
        return [Finding("gateway", "fail", found, fix)]


def _machine(config: LiveConfig, bundle: Path | None, folder: Path) -> list[Finding]:
    findings = [local.check_bundle(bundle)] if bundle is not None else []
    telemetry = config.telemetry_url()
    return [
        *findings,
        local.check_disk(folder),
        *([local.check_telemetry(telemetry)] if telemetry else []),
        local.check_redis(config.redis),
    ]


def _table(findings: list[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("check", "state", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(finding.check, Text(finding.state, COLOURS[finding.state]), finding.found, finding.fix)
    return table
