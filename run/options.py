"""Options that several verbs share, and how a verb answers: one JSON object on stdout, everything else on stderr."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

DEFAULT_CATALOG = Path("catalogs/store")
DEFAULT_RUNS = Path("runs")

CatalogOption = Annotated[Path, typer.Option("--catalog", help="Catalog of bars.", show_default=True)]
RunsOption = Annotated[Path, typer.Option("--runs", help="Folder that receives a folder for every run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; progress goes to stderr.")]

progress = Console(stderr=True, highlight=False, soft_wrap=True)


def answer_json(content: dict[str, Any]) -> None:
    """Print the one JSON object of a ``--json`` run."""
    typer.echo(json.dumps(content, indent=2, default=str, allow_nan=False))
