"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CATALOG = Path("catalogs/store")
DEFAULT_RUNS = Path("runs")

CatalogOption = Annotated[Path, typer.Option("--catalog", help="Catalog of bars.", show_default=True)]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder of training runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
