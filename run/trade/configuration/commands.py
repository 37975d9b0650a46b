"""Verbs of ``rl-intraday init`` as the command line declares them; the work is imported when a verb is called."""

from pathlib import Path
from typing import Annotated

import typer

from run.options import BundleArgument, JsonOption
from run.verb import VerbGroup

app = VerbGroup("Write files to begin with: a live configuration for a bundle.")


@app.command("live")
def live(
    bundle: BundleArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="YAML file to write (default: SYMBOL-paper.yaml).")
    ] = None,
    is_real: Annotated[bool, typer.Option("--live", help="For a live account instead of a paper account.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a live configuration that trades what a bundle was trained on.

    Contract, or front month of a future, and the contracts of its context. `doctor`, `paper` and `live` refuse a
    configuration that trades anything else.

    \b
    Example:
      rl-intraday init live runs/…/bundle/spy_single-…
    """
    from run.trade.configuration.live import run_init_live

    run_init_live(bundle, out, is_real, as_json)
