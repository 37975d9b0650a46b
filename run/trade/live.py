"""`rl-intraday live`: a bundle trades real money, if everything says that it may."""

from typing import Annotated

import typer

from catalogs.errors import InputError
from configs.live.schema import LiveConfig, load_live
from rl_strategies.bundle.bundle import load_bundle
from run.console import report
from run.options import JsonOption
from run.trade.paper import PAPER_PREFIX, BundleArgument, SessionsOption, print_outcome, session_home, trade
from run.trade.safety.doctor import examine
from run.trade.session.advice import flatten_command
from run.trade.session_runner import NOT_STARTED


def command(
    bundle: BundleArgument,
    account: Annotated[str, typer.Option(help="Account number, typed to be sure: the environment must hold it too.")],
    is_meant: Annotated[bool, typer.Option("--live", help="Yes, with real money.")] = False,
    live: Annotated[str, typer.Option("--config", help="Live configuration: a preset or a YAML file.")] = "live",
    sessions: SessionsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade a bundle on a live account of Interactive Brokers, with real money.

    Wants --live, the account number typed and equal to the environment's, and a doctor that finds nothing wrong.
    Journal, restart, signals and exit codes are those of `rl-intraday paper`.
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
        report(f"`rl-intraday doctor {live}` must find nothing wrong before money is traded")
        raise typer.Exit(NOT_STARTED)
    report("every check passed", label="real money:")
    print_outcome(trade(loaded, config, live, account, folder), as_json)


def check_intent(config: LiveConfig, account: str, is_meant: bool) -> None:
    """Whether a person means to trade this very account with real money.

    Raises
    ------
    InputError
        If not; the account number is not repeated.
    """
    if not is_meant:
        raise InputError("trading real money must be meant: add --live, or use `rl-intraday paper`")
    if not account or account != config.account():
        raise InputError(f"--account must be the account in the environment variable {config.account_variable}, is not")
    if account.startswith(PAPER_PREFIX):
        raise InputError(f"a live account does not begin with {PAPER_PREFIX}: use `rl-intraday paper`")
    if config.patience.clock != "wall":
        raise InputError(f"patience.clock must be wall with real money, was {config.patience.clock}")
