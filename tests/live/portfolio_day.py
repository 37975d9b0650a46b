"""A bundle that trades three shares on one account, on synthetic bars of five minutes, and a session of it."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.bundle import Traded
from catalogs.bars import BarSeries
from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import parse_experiment
from run.train.train import train_experiment
from tests.live.conftest import PAPER_DAY, PAPER_EXPERIMENT, ROOT
from tests.training.conftest import with_holes

TICKERS = ("SPY", "AAPL", "MSFT")
NAMES = tuple(f"{ticker}.EQUS" for ticker in TICKERS)
# Hardly trained; it changes its mind often.
EXPERIMENT: dict[str, Any] = {
    **PAPER_EXPERIMENT,
    "name": "three",
    "bar": "5-MINUTE",
    "portfolio": list(TICKERS[1:]),
    "trading": {
        **PAPER_EXPERIMENT["trading"],  # type: ignore[dict-item]
        "risk": {"max_entries_per_session": 0, "max_gross_exposure": 0.05},
    },
    "seed": 4,
}
CHOICES = ", ".join(f"{name}: {{contract: {{symbol: {name}, kind: STK, exchange: SMART}}}}" for name in TICKERS)
CONFIG = f"""
host: 127.0.0.1
port: 4002
contracts: {{{CHOICES}}}
health: null  # a fixed port would be in the way of whatever else runs
"""


def five_minutes(bars: BarSeries) -> BarSeries:
    """Bars of five minutes of whole sessions of minutes."""
    rows = {name: getattr(bars, name).reshape(-1, 5) for name in ("open", "high", "low", "close", "volume")}
    return replace(
        bars,
        bar_type=bars.bar_type.replace("1-MINUTE", "5-MINUTE"),
        ts_ns=bars.ts_ns[4::5],
        open=rows["open"][:, 0],
        high=rows["high"].max(axis=1),
        low=rows["low"].min(axis=1),
        close=rows["close"][:, -1],
        volume=rows["volume"].sum(axis=1),
    )


def make_portfolio(home: Path, holes: float = 0.0) -> Traded:
    """Write the catalog and the bundle.

    Parameters
    ----------
    home : Path
    holes : float
        Share of AAPL's bars without a trade.
    """
    catalog, edge = home / "catalog", PlantedEdge()
    for seed, ticker in enumerate(TICKERS):
        spec = resolve(ticker, instruments_path())
        first, last = np.datetime64("2024-12-02"), np.datetime64(PAPER_DAY)
        minutes = synthetic_sessions(spec, first, last, seed=seed, edge=edge, start_price=300.0).bars
        bars = five_minutes(minutes)
        bars = with_holes(bars, seed=5, share=holes) if ticker == "AAPL" and holes else bars
        write_bars(catalog, spec, bars, synthetic_provenance(spec, bars, edge, seed))
    experiment = parse_experiment(EXPERIMENT, "three")
    return Traded(train_experiment(experiment, catalog, home / "runs", listener=lambda _: None).bundle, catalog)


def trade(traded: Traded, home: Path, *more: object) -> Path:
    """Trade the day on a simulated gateway; the session's folder."""
    (home / "paper.yaml").write_text(CONFIG)
    words = ["paper", traded.bundle, "--simulated", "--start", PAPER_DAY, "--speed", 100_000, "--json"]
    words += ["--catalog", traded.catalog, "--sessions", home / "sessions", "--config", home / "paper.yaml", *more]
    # A process of its own: NautilusTrader's live node sets things that outlive it.
    command = [sys.executable, "-W", "ignore", "-m", "run.cli", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return Path(json.loads(done.stdout)["folder"])
