"""The command line `rl-intraday`: one verb per file, one line per error, exit code 2 for bad input."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

import typer

from adapters.errors import SourceError
from catalogs.errors import InputError
from run.console import print_error, report

BAD_INPUT = 2
INTERRUPTED = 130


class Verb(NamedTuple):
    """Where a verb lives and what the overview says of it; its module is imported only when it is called."""

    module: str
    help: str
    is_group: bool = False


VERBS = {
    "demo": Verb("run.demo", "The whole path on synthetic sessions: catalog, training, backtest, report."),
    "data": Verb("run.data.app", "Market data: import files, fetch from vendors, list, check, export.", is_group=True),
    "universe": Verb("run.universe", "Collect, train and backtest a universe of tickers, stage by stage."),
    "features": Verb("run.features.app", "The features that an experiment may use.", is_group=True),
    "train": Verb("run.train.train", "Train an experiment into a bundle."),
    "resume": Verb("run.train.resume", "Go on with a training run that was stopped or killed."),
    "runs": Verb("run.train.runs", "List training runs, or compare some."),
    "lr-bump": Verb("run.train.lr_bump", "Multiply the learning rate of a run that is learning now."),
    "certify": Verb("run.backtest.certify", "Prove the simulator equal to the NautilusTrader engine, fill by fill."),
    "evaluate": Verb("run.backtest.evaluate", "Walk a bundle through unseen windows and tickers in the simulator."),
    "backtest": Verb("run.backtest.command", "Replay a bundle through the Nautilus BacktestNode and report."),
    "paper": Verb("run.trade.paper", "Trade a bundle on a paper account, or on a simulated gateway without one."),
    "live": Verb("run.trade.live", "Trade a bundle on a live account, with real money."),
    "replay": Verb(
        "run.trade.replay.command", "Go through a live session again and say what comes out otherwise, by cause."
    ),
    "flatten": Verb(
        "run.trade.safety.flatten", "Cancel everything and close everything at the broker; works without the node."
    ),
    "doctor": Verb(
        "run.trade.safety.doctor", "Check gateway, account, contract, data, margin, clock, stores and calendar."
    ),
    "unhalt": Verb("run.trade.safety.unhalt", "Let a halted session trade again; a person says why."),
    "calibrate": Verb(
        "run.trade.replay.calibrate", "Measure slippage, latency and costs from live journals, for training."
    ),
    "gateway": Verb(
        "run.trade.gateway", "A simulated IB Gateway over catalog bars, to trade against without an account."
    ),
}


def build_app(called: str | None) -> typer.Typer:
    """Command line with the module of one verb imported, the others as names with their help."""
    app = typer.Typer(
        help="Train a PPO-LSTM policy on minute bars; run the very same strategy in backtest, paper and live.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_overview)
    for name, verb in VERBS.items():
        if name != called:
            app.command(name, help=verb.help)(_not_called)
        elif verb.is_group:
            app.add_typer(import_module(verb.module).app, name=name, help=verb.help)
        else:
            app.command(name)(import_module(verb.module).command)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        0 if all went well, 2 for bad input (one line on standard error, nothing written), 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    called = next((word for word in words if not word.startswith("-")), None)
    try:
        app = build_app(called)
        outcome = app(args=words, prog_name="rl-intraday", standalone_mode=False)
    except (InputError, SourceError) as error:
        print_error(str(error))
        return BAD_INPUT
    except typer.TyperException as error:
        print_error(error.format_message())
        return BAD_INPUT
    except typer.Exit as stop:
        return stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        report("interrupted")
        return INTERRUPTED
    return outcome if isinstance(outcome, int) else 0


def _overview(
    show_version: bool = typer.Option(False, "--version", help="Print the version and leave.", is_eager=True),
) -> None:
    if show_version:
        typer.echo(f"rl-intraday {version('rl-intraday')}")
        raise typer.Exit


def _not_called() -> None:
    raise AssertionError("only the called verb's own module may run")


if __name__ == "__main__":
    sys.exit(main())
