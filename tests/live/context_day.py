"""A bundle that reads two markets and a daily index beside its own, on synthetic minutes."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.faults.bundle import Traded
from catalogs.daily_values import write_context
from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import parse_experiment
from run.train.train import train_experiment
from tests.live.conftest import PAPER_DAY, PAPER_EXPERIMENT
from tests.training.conftest import with_holes

# Hardly trained; with this seed it changes its mind often.
EXPERIMENT: dict[str, Any] = {
    **PAPER_EXPERIMENT,
    "name": "beside",
    "instrument": "AAPL",
    "context": "smt+vix",
    "pruning": {},
    "execution": {"starting_balance_usd": 1_000_000},
    "seed": 4,
}
STREAMS = ("SPY", "QQQ", "VIX")
CONTRACTS = ", ".join(
    f"{name}: {{contract: {{symbol: {name}, kind: STK, exchange: SMART}}}}" for name in ("SPY", "QQQ")
)
VALUES = 200


def make_beside(home: Path, holes: float = 0.0) -> Traded:
    """Write the catalog and the bundle.

    Parameters
    ----------
    home : Path
    holes : float
        Share of SPY's minutes without a trade.
    """
    catalog, edge = home / "catalog", PlantedEdge()
    for seed, ticker in enumerate(("AAPL", "SPY", "QQQ")):
        spec = resolve(ticker, instruments_path())
        first, last = np.datetime64("2024-12-17"), np.datetime64(PAPER_DAY)
        bars = synthetic_sessions(spec, first, last, seed=seed, edge=edge, start_price=300.0).bars
        bars = with_holes(bars, seed=5, share=holes) if ticker == "SPY" and holes else bars
        write_bars(catalog, spec, bars, synthetic_provenance(spec, bars, edge, seed))
    write_vix(catalog, date(2024, 12, 24))
    experiment = parse_experiment(EXPERIMENT, "beside")
    return Traded(train_experiment(experiment, catalog, home / "runs", listener=lambda _: None).bundle, catalog)


def write_vix(catalog: Path, end: date) -> None:
    """Daily values up to the day before ``end``."""
    days = [end - timedelta(days=n) for n in range(VALUES, 0, -1)]
    columns = dict.fromkeys(("open", "high", "low", "close"), 15.0 + np.sin(np.arange(VALUES)))
    write_context(catalog, {"VIX": pa.table({"date": days, **columns, "source": ["made up"] * VALUES})})
