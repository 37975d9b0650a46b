"""`rl-intraday live`: a bundle trades real money, once every check has passed."""

from pathlib import Path

import typer

from catalogs.errors import InputError
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import load_bundle
from run.console import report
from run.trade.account import is_named
from run.trade.paper import PAPER_PREFIX, print_outcome, session_home, trade
from run.trade.safety.doctor import examine
from run.trade.session.advice import flatten_command
from run.trade.session_runner import NOT_STARTED


def run_live(*, bundle: Path, account: str, is_meant: bool, live: str, sessions: Path | None, as_json: bool) -> None:
    """Trade a bundle on a live account of Interactive Brokers, with real money.

    The options are those of the verb; see `run.trade.commands.live`.
    """
    config = load_live(live)
    check_intent(config, account, is_meant)
    loaded = load_bundle(bundle)
    folder = session_home(config, sessions, loaded)
    findings = examine(config, flatten_command(live), bundle, folder.path)
    failed = [finding for finding in findings if finding.state == "fail"]
    if failed:
        for finding in failed:
            report(f"{finding.found}; {finding.fix}", label=f"{finding.check}:", style="bold red")
        report(f"not started: the checks above failed (`rl-intraday doctor {live}`)")
        raise typer.Exit(NOT_STARTED)
    report("every check passed", label="real money:")
    print_outcome(trade(loaded, config, live, config.account(), folder), as_json)


def check_intent(config: LiveConfig, account: str, is_meant: bool) -> None:
    """Check that a person means to trade this account with real money.

    Raises
    ------
    InputError
        If not; the message does not contain the account number.
    """
    if not is_meant:
        raise InputError("real money needs --live; without it use `rl-intraday paper`")
    if not is_named(config.account(), account):
        raise InputError(f"--account is not the account in {config.account_variable}")
    if config.account().startswith(PAPER_PREFIX):
        raise InputError(f"--account is a paper account ({PAPER_PREFIX}…): use `rl-intraday paper`")
    if config.timeouts.clock != "wall":
        raise InputError(f"patience.clock must be wall for real money, was {config.timeouts.clock}")
