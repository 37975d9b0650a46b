"""`rl-intraday lr-bump`: multiplies the learning rate of a training in progress."""

from pathlib import Path
from typing import Annotated

import typer

from catalogs.errors import InputError
from run.console import report
from run.train.run_metadata import check_run
from training.learning.stability import BUMP_FILE, DEFAULT_BUMP


def command(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    factor: Annotated[float, typer.Option(help="Factor of the learning rate.")] = DEFAULT_BUMP,
) -> None:
    """Multiply the learning rate of a training in progress, from its next rollout on.

    Touching <run>/.lr_bump doubles it.

    Example: rl-intraday lr-bump runs/20260102-090000-spy_single --factor 0.5
    """
    check_run(run)
    if not 0 < factor < float("inf"):
        raise InputError(f"--factor must be above 0, was {factor}")
    (run / BUMP_FILE).write_text(f"{factor}\n", encoding="utf-8")
    report(f"The learning rate of {run} is multiplied by {factor:g} before the next rollout.")
