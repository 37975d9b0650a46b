"""Options that several verbs share, and how their values are read."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from catalogs.errors import InputError
from run.verb import DAY

DEFAULT_CATALOG = Path("catalogs/store")
DEFAULT_RUNS = Path("runs")

CatalogOption = Annotated[Path, typer.Option("--catalog", metavar="FOLDER", help="Catalog of bars.")]
RunsOption = Annotated[Path, typer.Option("--runs", metavar="FOLDER", help="Folder of training runs.")]
BundleArgument = Annotated[Path, typer.Argument(help="Bundle folder, printed by `rl-intraday train`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def day_option(help: str) -> Any:
    """Option that takes a day, as YYYY-MM-DD."""
    return typer.Option(formats=["%Y-%m-%d"], metavar=DAY, help=help)


def comma_separated(text: str) -> list[str]:
    """Names of a list such as ``"AAPL, MSFT"``.

    Examples
    --------
    >>> comma_separated("AAPL, MSFT,")
    ['AAPL', 'MSFT']
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def existing_catalog(catalog: Path) -> Path:
    """The catalog's folder, checked.

    Raises
    ------
    InputError
        If it does not exist.
    """
    if not catalog.is_dir():
        raise InputError(f"catalog {catalog} does not exist")
    return catalog


def results_folder(bundle: Path, name: str, start: date, end: date, of: str = "") -> Path:
    """Folder of its own for the results over one window, so that two windows are kept and compared.

    ``<run>/<name>/<start>_<end>`` for a bundle inside a run folder, else ``<name>/<bundle>/<start>_<end>`` in the
    current folder; ``of`` is appended, for results over other instruments.

    Examples
    --------
    >>> window = date(2025, 1, 2), date(2025, 3, 31)
    >>> results_folder(Path("/runs/mine/bundle/spy-0a"), "backtest", *window).as_posix()
    '/runs/mine/backtest/2025-01-02_2025-03-31'
    >>> results_folder(Path("/kept/spy-0a"), "evaluation", *window, "MSFT").as_posix()
    'evaluation/spy-0a/2025-01-02_2025-03-31_MSFT'
    """
    bundle = bundle.resolve()
    is_in_run = bundle.parent.name == "bundle"
    folder = bundle.parent.parent / name if is_in_run else Path(name, bundle.name)
    return folder / "_".join(filter(None, (str(start), str(end), of)))
