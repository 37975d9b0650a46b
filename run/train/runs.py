"""`rl-intraday runs`: lists training runs, or compares their settings and results."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from rich.table import Table

from catalogs.errors import InputError
from run.console import print_json, report
from run.train.run_metadata import check_run, is_run
from training.learning.summary import TrainingSummary


class RunOverview(NamedTuple):
    """Settings and results of a training run.

    Attributes
    ----------
    name : str
    state : str
        ``finished`` (has a bundle), ``stopped`` (by Ctrl-C) or ``unfinished`` (running now, or killed).
    settings : dict of str to Any
        The experiment, keys dotted.
    figures : dict of str to Any
        Results of training, backtest and evaluation, as far as they exist.
    bundle : str or None
    """

    name: str
    state: str
    settings: dict[str, Any]
    figures: dict[str, Any]
    bundle: str | None


def run_runs(runs: list[Path] | None, folder: Path, as_json: bool) -> None:
    """List training runs, or compare some: differing settings and all results.

    The options are those of the verb; see `run.train.commands.runs`.
    """
    if runs:
        compared = [read_run(path) for path in runs]
    else:
        compared = [read_run(path) for path in sorted(folder.glob("*/")) if is_run(path)]
        if not compared:
            raise InputError(f"no training runs in {folder}")
    if as_json:
        print_json({"runs": [run._asdict() for run in compared], "differences": differences(compared)})
    elif runs and len(runs) > 1:
        report(comparison(compared))
    else:
        report(listing(compared))


def read_run(run_dir: Path) -> RunOverview:
    """Settings and results of a run folder, finished or not.

    Raises
    ------
    InputError
        If the folder is not a training run.
    """
    check_run(run_dir)
    settings = _dotted(yaml.safe_load((run_dir / "experiment.yaml").read_text(encoding="utf-8")))
    figures: dict[str, Any] = {}
    state = "unfinished"
    summary_file = run_dir / "metrics" / "training_summary.json"
    if summary_file.is_file():
        summary = msgspec.json.decode(summary_file.read_bytes(), type=TrainingSummary)
        state = "stopped" if summary.interrupted else state
        names = ("steps", "samples_per_s", "mean_episode_reward_last", "best_validation", "best_step")
        figures |= {name: getattr(summary, name) for name in names} | {"findings": len(summary.findings)}
    bundles = sorted(path.name for path in (run_dir / "bundle").glob("*/")) if (run_dir / "bundle").is_dir() else []
    figures |= _result(run_dir / "backtest" / "summary.json", "backtest", ("metrics", "net_pnl_usd"))
    figures |= _result(run_dir / "evaluation" / "evaluation_results.json", "evaluation", ("total", "net_pnl_usd"))
    return RunOverview(
        run_dir.resolve().name, "finished" if bundles else state, settings, figures, bundles[-1] if bundles else None
    )


def differences(runs: list[RunOverview]) -> dict[str, list[Any]]:
    """Settings that are not the same in all runs, with the value of each."""
    keys = sorted({key for run in runs for key in run.settings})
    values = {key: [run.settings.get(key) for run in runs] for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def listing(runs: list[RunOverview]) -> Table:
    """A row per run."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("run", overflow="fold")  # the column that wraps in a narrow terminal: a figure cut short misleads
    table.add_column("state", no_wrap=True)
    for heading in ("steps", "reward", "valid", "backtest", "evaluate"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = ("steps", "mean_episode_reward_last", "best_validation", "backtest_net_pnl_usd", "evaluation_net_pnl_usd")
    for run in runs:
        table.add_row(run.name, run.state, *(_text(run.figures.get(name)) for name in shown))
    return table


def comparison(runs: list[RunOverview]) -> Table:
    """A column per run: differing settings first, then all figures."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for run in runs:
        table.add_column(run.name, justify="right", overflow="fold")
    for key, values in differences(runs).items():
        table.add_row(key, *map(_text, values))
    table.add_row("state", *(run.state for run in runs), style="bold")
    for name in dict.fromkeys(name for run in runs for name in run.figures):
        table.add_row(name, *(_text(run.figures.get(name)) for run in runs))
    return table


def _dotted(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _result(path: Path, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in keys:
        content = content[key]
    return {f"{name}_{keys[-1]}": content}


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
