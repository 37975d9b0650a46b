"""`rl-intraday lr-bump`: multiplies the learning rate of a training in progress."""

from pathlib import Path

from catalogs.errors import InputError
from run.console import report
from run.train.runs import read_run
from training.learning.stability import BUMP_FILE


def run_lr_bump(run: Path, factor: float) -> None:
    """Multiply the learning rate of a training in progress, from its next rollout on.

    The options are those of the verb; see `run.train.commands.lr_bump`.
    """
    state = read_run(run).state
    if state == "finished":
        raise InputError(f"run {run} has finished: lr-bump changes a training in progress")
    if not 0 < factor < float("inf"):
        raise InputError(f"--factor must be above 0, was {factor}")
    (run / BUMP_FILE).write_text(f"{factor}\n", encoding="utf-8")
    rollout = f"next rollout, after `rl-intraday resume {run}`" if state == "stopped" else "next rollout"
    report(f"The learning rate of {run} is multiplied by {factor:g} before the {rollout}.")
