"""The command line `rl-intraday`: a table of verbs; errors are one line, bad input exits with code 2."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, NamedTuple

import typer

from adapters.errors import SourceError
from catalogs.errors import InputError
from run.console import print_error, report
from run.usage_errors import explain_usage
from run.verb import VerbCommand, print_help

BAD_INPUT = 2
INTERRUPTED = 130


class Verb(NamedTuple):
    """Module and overview line of a verb; the module is imported only when the verb is called."""

    module: str
    help: str
    is_group: bool = False


VERBS = {
    "demo": Verb("run.commands", "Run the whole path on synthetic data, without downloads."),
    "data": Verb("run.data.commands", "Market data: fetch, import, list, check, export, roll.", is_group=True),
    "universe": Verb("run.commands", "Collect, train and backtest a universe of tickers."),
    "features": Verb("run.features.commands", "List, build and check features.", is_group=True),
    "train": Verb("run.train.commands", "Train an experiment into a bundle."),
    "resume": Verb("run.train.commands", "Resume a training run that was stopped or killed."),
    "runs": Verb("run.train.commands", "List or compare training runs."),
    "lr-bump": Verb("run.train.commands", "Multiply the learning rate of a training in progress."),
    "certify": Verb("run.backtest.commands", "Compare simulator and NautilusTrader engine, fill by fill."),
    "evaluate": Verb("run.backtest.commands", "Evaluate a bundle on unseen days and tickers, in the simulator."),
    "backtest": Verb("run.backtest.commands", "Backtest a bundle in NautilusTrader and write a report."),
    "ledger": Verb("run.ledger.commands", "Show, verify or merge the record of what was tried.", is_group=True),
    "init": Verb("run.trade.configuration.commands", "Write a live configuration for a bundle.", is_group=True),
    "paper": Verb("run.trade.commands", "Trade a bundle on a paper account or a simulated gateway."),
    "live": Verb("run.trade.commands", "Trade a bundle on a live account, with real money."),
    "replay": Verb("run.trade.commands", "Replay a session; list differing decisions by cause."),
    "guard": Verb("run.trade.commands", "Watch a session; close its own position where it cannot."),
    "flatten": Verb("run.trade.commands", "Cancel every order and close every position of an account."),
    "doctor": Verb("run.trade.commands", "Check gateway, account, contract, data, disk and calendar."),
    "unhalt": Verb("run.trade.commands", "Clear a halt (reason required)."),
    "calibrate": Verb("run.trade.commands", "Measure slippage, latency and costs from session journals."),
    "gateway": Verb("run.trade.commands", "Run a simulated IB Gateway over catalog bars."),
}


def build_app(called: str | None) -> typer.Typer:
    """Command line in which only the called verb's module is imported; the others are names with their help."""
    app = typer.Typer(
        help="Train a PPO-LSTM policy on minute bars; run the same strategy in backtest, paper and live.",
        invoke_without_command=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_overview)
    for name, verb in VERBS.items():
        if name != called:
            app.command(name, help=verb.help)(_not_called)
        elif verb.is_group:
            app.add_typer(import_module(verb.module).app, name=name, short_help=verb.help)
        else:
            app.command(name, cls=VerbCommand, short_help=verb.help)(
                getattr(import_module(verb.module), name.replace("-", "_"))
            )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; the process's own by default.

    Returns
    -------
    int
        0 on success, 2 for bad input (one line on standard error, with ``--json`` also as an object on standard output;
        nothing written), 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    is_json = "--json" in words
    called = next((word for word in words if not word.startswith("-")), None)
    try:
        app = build_app(called)
        outcome = app(args=words, prog_name="rl-intraday", standalone_mode=False)
    except (InputError, SourceError) as error:
        print_error(str(error), as_json=is_json)
        return BAD_INPUT
    except OSError as error:
        if error.filename is None:
            raise
        print_error(f"{error.filename}: {error.strerror}", as_json=is_json)
        return BAD_INPUT
    except typer.TyperException as error:
        print_error(explain_usage(error), as_json=is_json)
        return BAD_INPUT
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        report("interrupted")
        return INTERRUPTED
    return outcome if isinstance(outcome, int) else 0


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"rl-intraday {version('rl-intraday')}")
        raise typer.Exit


def _overview(
    context: typer.Context,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    print_help(context)


def _not_called() -> None:
    raise AssertionError("only the called verb's own module may run")


if __name__ == "__main__":
    sys.exit(main())
