"""Verbs of ``rl-intraday features`` as the command line declares them; the work is imported when a verb is called."""

from pathlib import Path
from typing import Annotated

import typer

from run.options import DEFAULT_CATALOG, CatalogOption, JsonOption
from run.verb import VerbGroup

FilesOption = Annotated[
    list[Path] | None, typer.Option("--file", metavar="FILE", help="Python file of your own features.")
]

app = VerbGroup("List, build and check features.")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array on stdout.")] = False,
) -> None:
    """List every kind of feature: outputs, parameters, inputs, warm-up.

    An input that is not a column of the bar must be wired to a column or to the output of an earlier feature.

    \b
    Example:
      rl-intraday features list --json
    """
    from run.features.kinds import run_list

    run_list(as_json)


@app.command("build")
def build(
    instrument: Annotated[str, typer.Argument(help="Instrument, for example SPY or MESZ6.")],
    features: Annotated[
        str, typer.Option(metavar="NAME", help="Feature sets such as default+ict or full, or an experiment.")
    ] = "default",
    bar: Annotated[str, typer.Option(metavar="BAR", help="Bar length.")] = "1-MINUTE",
    smt: Annotated[
        bool, typer.Option("--smt", help="Add features relative to SPY and QQQ, if the catalog has them.")
    ] = False,
    vix: Annotated[bool, typer.Option("--vix", help="Add daily implied volatility, if the catalog has it.")] = False,
    file: FilesOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write matrix, names and times to this .npz file.")
    ] = None,
    catalog: CatalogOption = DEFAULT_CATALOG,
    as_json: JsonOption = False,
) -> None:
    """Compute the features of an instrument's bars.

    Prints how many values are finite.

    \b
    Examples:
      rl-intraday features build SPY
      rl-intraday features build MESZ6 --features full --smt --vix --json
    """
    from run.features.build import run_build

    run_build(
        instrument=instrument,
        features=features,
        bar=bar,
        smt=smt,
        vix=vix,
        file=file,
        out=out,
        catalog=catalog,
        as_json=as_json,
    )


@app.command("check")
def check(
    plan: Annotated[
        str | None,
        typer.Argument(help="Feature sets such as default+ict, an experiment or a bundle (default: every feature)."),
    ] = None,
    file: FilesOption = None,
    instrument: Annotated[
        str, typer.Option(metavar="SYMBOL", help="Instrument whose calendar and tick size the synthetic market has.")
    ] = "MESZ6",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Prove that features do not look ahead.

    Also that they are the same in training and live. Each check changes something that must not matter (later bars, the
    first bar, how the rows are split) on a synthetic market with quotes and context, and compares every output bit for
    bit. Exit code 1 if one differs. Constants that were computed at import and cells beyond a feature's declared state
    are refused before.

    \b
    Examples:
      rl-intraday features check
      rl-intraday features check full --json
      rl-intraday features check --file my_features.py
    """
    from run.features.check import run_check

    run_check(plan=plan, file=file, instrument=instrument, seed=seed, as_json=as_json)
