"""Writes the files of a report, all or none."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from catalogs.errors import InputError
from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.metrics import Metrics
from rl_strategies.analysis.trades import Trade
from run.reports.frames import daily_report, portfolio_history, trade_table
from run.reports.metadata import ReportMetadata
from run.reports.page import render_page
from run.reports.pictures import overview_png
from run.reports.summary import summary_json
from run.reports.verdict import verdict


def write_artifacts(
    out: Path, record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata
) -> dict[str, Path]:
    """Write summary.json, three CSV files, report.html and report.png into a folder.

    Files of the same names are replaced, others stay. Everything is written to a temporary folder first, so that after
    a failure the folder is unchanged.

    Parameters
    ----------
    out : Path
        Created if missing.
    record : RunRecord
    trades : sequence of Trade
        From `rl_strategies.analysis.trades.build_trades` of the same record.
    metrics : Metrics
        From `rl_strategies.analysis.metrics.compute_metrics` of the same record and trades.
    metadata : ReportMetadata

    Returns
    -------
    dict of str to Path
        File name to path.

    Raises
    ------
    InputError
        If ``out`` exists and is not a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"report folder {out} is a file")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as aside:
        written = _write_all(Path(aside), record, trades, metrics, metadata)
        out.mkdir(exist_ok=True)
        return {path.name: path.replace(out / path.name) for path in written}


def _write_all(
    folder: Path, record: RunRecord, trades: Sequence[Trade], metrics: Metrics, metadata: ReportMetadata
) -> list[Path]:
    daily = daily_report(record, trades)
    headline = verdict(metrics, metadata.seen_note, metadata.abstention)
    if metadata.synthetic_note:
        headline = f"{metadata.synthetic_note} {headline}"
    (folder / "summary.json").write_bytes(summary_json(record, trades, metrics, metadata))
    portfolio_history(record).to_csv(folder / "portfolio_history.csv", index=False)
    daily.to_csv(folder / "daily_report.csv", index=False)
    trade_table(trades, metadata).to_csv(folder / "trades.csv", index=False)
    page = render_page(record, trades, metrics, metadata, daily)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "report.png").write_bytes(overview_png(record, trades, metrics, metadata, daily, headline))
    return sorted(folder.iterdir())
