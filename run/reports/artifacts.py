"""The files of a report, made whole before the first of them is put in place."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from catalogs.errors import InputError
from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports.context import ReportContext
from run.reports.frames import daily_report, portfolio_history, trade_table
from run.reports.page import render_page
from run.reports.pictures import overview_png
from run.reports.summary import summary_json
from run.reports.verdict import verdict


def write_artifacts(
    out: Path, record: RunRecord, trades: Sequence[Trade], metrics: Metrics, context: ReportContext
) -> dict[str, Path]:
    """Write summary.json, three CSV files, report.html and report.png into a folder.

    Files of the same names are replaced, others in the folder are left alone. Everything is written beside the
    folder first and moved at the end, so that a failure leaves what was there before.

    Parameters
    ----------
    out : Path
        Created if missing.
    record : RunRecord
    trades : sequence of Trade
        From `rl_strategies.analysis.trades.build_trades` of the same record.
    metrics : Metrics
        From `rl_strategies.analysis.metrics.compute_metrics` of the same record and trades.
    context : ReportContext

    Returns
    -------
    dict of str to Path
        File name to its place.

    Raises
    ------
    InputError
        If ``out`` exists and is not a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"report folder {out} must be a folder, was a file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as aside:
        written = _write_all(Path(aside), record, trades, metrics, context)
        out.mkdir(exist_ok=True)
        return {path.name: path.replace(out / path.name) for path in written}


def _write_all(
    folder: Path, record: RunRecord, trades: Sequence[Trade], metrics: Metrics, context: ReportContext
) -> list[Path]:
    daily = daily_report(record, trades)
    headline = verdict(metrics)
    if context.synthetic_note:
        headline = f"{context.synthetic_note} {headline}"
    (folder / "summary.json").write_bytes(summary_json(record, trades, metrics, context))
    portfolio_history(record).to_csv(folder / "portfolio_history.csv", index=False)
    daily.to_csv(folder / "daily_report.csv", index=False)
    trade_table(trades, context).to_csv(folder / "trades.csv", index=False)
    page = render_page(record, trades, metrics, context, daily)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "report.png").write_bytes(overview_png(record, trades, metrics, context, daily, headline))
    return sorted(folder.iterdir())
