"""Options that several verbs share, and how their values are read."""

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


def results_folder(bundle: Path, name: str) -> Path:
    """``<run>/<name>`` for a bundle inside a run folder, else ``<name>`` in the current folder."""
    parent = bundle.resolve().parent
    return parent.parent / name if parent.name == "bundle" else Path(name)
