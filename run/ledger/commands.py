"""Verbs of ``rl-intraday ledger`` as the command line declares them; the work is imported when a verb is called."""

from pathlib import Path
from typing import Annotated

import typer

from run.options import DEFAULT_RUNS, JsonOption, RunsOption
from run.verb import VerbGroup

app = VerbGroup("The record of everything that was tried: show, verify, merge.")


@app.command("show")
def show(
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="One kind: training, evaluation, backtest, …")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", min=1, metavar="N", help="The newest N only (default: all).")
    ] = None,
    runs: RunsOption = DEFAULT_RUNS,
    as_json: JsonOption = False,
) -> None:
    """List what was tried, and count it.

    The ledger of the folder runs is the folder runs-ledger beside it. Every training, evaluation and backtest is in it
    from its beginning on, also if it failed, was stopped or killed.

    \b
    Examples:
      rl-intraday ledger show
      rl-intraday ledger show --kind training --last 20
    """
    from run.ledger.ledger import run_show

    run_show(kind, last, runs, as_json)


@app.command("verify")
def verify(runs: RunsOption = DEFAULT_RUNS, as_json: JsonOption = False) -> int:
    """Check that no entry was deleted, edited or put in another order.

    Exit code 1 if one was. Prints the hash at the end of every chain: kept elsewhere, it also shows a ledger that was
    written anew.

    \b
    Example:
      rl-intraday ledger verify --runs runs
    """
    from run.ledger.ledger import run_verify

    return run_verify(runs, as_json)


@app.command("merge")
def merge(
    ledgers: Annotated[list[Path], typer.Argument(metavar="LEDGER", help="Ledger folders of other machines.")],
    runs: RunsOption = DEFAULT_RUNS,
    as_json: JsonOption = False,
) -> None:
    """Take over what was tried on other machines.

    Their ledgers are only read. What is there already is left out, so that the same ledger can be merged again.

    \b
    Example:
      rl-intraday ledger merge /mnt/second/runs-ledger
    """
    from run.ledger.ledger import run_merge

    run_merge(ledgers, runs, as_json)
