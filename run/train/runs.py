"""`rl-intraday runs`: lists training runs, or compares their settings and results."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from rich.table import Table

from catalogs.errors import InputError
from run.console import print_json, report
from run.train.run_metadata import check_run, is_run
from training.learning.summary import read_summary


class WindowResult(NamedTuple):
    """Result of a bundle over one window.

    Attributes
    ----------
    verb : str
        ``backtest`` or ``evaluate``.
    start, end : str
        First and last day asked for.
    seen_sessions : int
        Sessions of the window that the policy was trained or validated on.
    net_pnl_usd : float
    folder : str
        Relative to the run folder.
    """

    verb: str
    start: str
    end: str
    seen_sessions: int
    net_pnl_usd: float
    folder: str

    @property
    def name(self) -> str:
        """Row of a comparison, for example ``backtest 2025-01-02 to 2025-03-31``."""
        of = Path(self.folder).name.removeprefix(f"{self.start}_{self.end}").lstrip("_")
        words = [self.verb, f"{self.start} to {self.end}", of if Path(self.folder).parent.name else ""]
        return " ".join(filter(None, words)) + (" (not out of sample)" if self.seen_sessions else "")


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
        Results of the training, as far as they exist.
    results : list of WindowResult
        Results of backtests and evaluations, one per window.
    bundle : str or None
    """

    name: str
    state: str
    settings: dict[str, Any]
    figures: dict[str, Any]
    results: list[WindowResult]
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
        print_json({"runs": [_plain(run) for run in compared], "differences": differences(compared)})
    elif runs and len(runs) > 1:
        report(comparison(compared))
    else:
        report(listing(compared))
        if any(run.results for run in compared):
            report(windows(compared))


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
    summary = read_summary(run_dir)
    if summary is not None:
        state = "stopped" if summary.interrupted else state
        names = ("steps", "samples_per_s", "mean_episode_reward_last", "best_validation", "best_step")
        figures |= {name: getattr(summary, name) for name in names} | {"findings": len(summary.findings)}
    bundles = sorted(path.name for path in (run_dir / "bundle").glob("*/")) if (run_dir / "bundle").is_dir() else []
    name, bundle = run_dir.resolve().name, bundles[-1] if bundles else None
    return RunOverview(name, "finished" if bundles else state, settings, figures, _results(run_dir), bundle)


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
    for heading in ("steps", "reward", "valid"):
        table.add_column(heading, justify="right", no_wrap=True)
    shown = ("steps", "mean_episode_reward_last", "best_validation")
    for run in runs:
        table.add_row(run.name, run.state, *(_text(run.figures.get(name)) for name in shown))
    return table


def windows(runs: list[RunOverview]) -> Table:
    """A row per backtest and evaluation."""
    table = Table(box=None, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("run", overflow="fold")
    table.add_column("result", overflow="fold")
    table.add_column("net USD", justify="right", no_wrap=True)
    for run in runs:
        for result in run.results:
            table.add_row(run.name, result.name, _text(result.net_pnl_usd))
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
    earned = [{result.name: result.net_pnl_usd for result in run.results} for run in runs]
    for name in dict.fromkeys(name for own in earned for name in own):
        table.add_row(f"{name}, net USD", *(_text(own.get(name)) for own in earned))
    return table


def _plain(run: RunOverview) -> dict[str, Any]:
    return run._asdict() | {"results": [result._asdict() for result in run.results]}


def _dotted(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _results(run_dir: Path) -> list[WindowResult]:
    # Each window has a folder; before that there was one for all, whose file lay directly in it.
    found = [_backtest(run_dir, path) for path in _files(run_dir / "backtest", "summary.json")]
    found += [_evaluation(run_dir, path) for path in _files(run_dir / "evaluation", "evaluation_results.json")]
    return found


def _files(folder: Path, name: str) -> list[Path]:
    return [*folder.glob(name), *sorted(folder.glob(f"*/{name}"))]


def _backtest(run_dir: Path, path: Path) -> WindowResult:
    content = json.loads(path.read_text(encoding="utf-8"))
    window, earned = content["window"], content["metrics"]["net_pnl_usd"]
    seen, folder = window.get("seen_sessions", 0), path.parent.relative_to(run_dir)
    return WindowResult("backtest", window["start"], window["end"], seen, earned, str(folder))


def _evaluation(run_dir: Path, path: Path) -> WindowResult:
    content = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent.relative_to(run_dir)
    return WindowResult("evaluate", content["start"], content["end"], 0, content["total"]["net_pnl_usd"], str(folder))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
