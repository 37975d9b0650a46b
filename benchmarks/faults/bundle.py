"""Catalogs of synthetic sessions and bundles that trade often on them, without outside data.

The networks are almost untrained: they enter, leave and reverse every few bars, which is all that a campaign needs.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from catalogs.instruments.specification import resolve
from catalogs.storage.arrow import write_bars
from catalogs.synthetic import PlantedEdge, synthetic_provenance, synthetic_sessions
from configs import instruments_path
from configs.schema import parse_experiment
from run.train.train import train_experiment

FIRST_DAY, LAST_DAY = np.datetime64("2025-01-06"), np.datetime64("2025-02-07")
UNITS = 3
EXPERIMENT: dict[str, Any] = {
    "name": "faults",
    "instrument": "MESH5",
    "bar": "1-MINUTE",
    "train": {"start": "2025-01-15", "end": "2025-01-16"},
    "trading": {
        "units": UNITS,
        "barriers": {
            "stop_loss": {"value": 2.0, "unit": "atr"},
            "take_profit": {"value": 3.0, "unit": "atr"},
            "time_limit_bars": 20,
        },
        "risk": {"max_entries_per_session": 0, "max_gross_exposure": 0.0},
    },
    "execution": {"starting_balance_usd": 1_000_000},
    "learner": {
        "total_timesteps": 512, "n_envs": 4, "n_steps": 128, "batch_size": 256, "n_epochs": 1,
        "lstm_hidden_size": 16, "net_arch": [], "stability": {"evaluate_every": 1},
    },
}  # fmt: skip
SHARES = {**EXPERIMENT, "instrument": "SPY"}
PORTFOLIO = {**SHARES, "name": "faults-portfolio", "portfolio": ["AAPL", "MSFT"]}
CONTEXT = {**SHARES, "name": "faults-context", "instrument": "AAPL", "context": "smt", "pruning": {}}
FRONT = '{symbol: MES, kind: FUT, exchange: CME, expiry: "202503"}'
SHARE = "{{symbol: {0}, kind: STK, exchange: SMART}}"


@dataclass(frozen=True)
class Traded:
    """Bundle and catalog of a campaign.

    Attributes
    ----------
    bundle, catalog : Path
    contract : str
        Traded contract, as in the live configuration; that of several stands in ``more``.
    more : str
        More lines of the live configuration.
    days : int
        Trading takes so many days from a session's start on.
    most_skipped : int
        So many steps of the market at most pass before it.
    """

    bundle: Path
    catalog: Path
    contract: str = FRONT
    more: str = ""
    days: int = 2
    most_skipped: int = 6_000

    def window(self, start: date) -> tuple[date, date]:
        """First and last trading day of a session that starts on a day; the exchange trades on both."""
        last = start + timedelta(days=self.days - 1)
        return start, last - timedelta(days=max(0, last.weekday() - 4))


def make_portfolio(folder: Path, seed: int) -> Traded:
    """Three shares on one account."""
    names = ("SPY", "AAPL", "MSFT")
    contracts = ", ".join(f"{name}: {{contract: {SHARE.format(name)}}}" for name in names)
    return _make_shares(folder, PORTFOLIO, names, seed, "", f"contracts: {{{contracts}}}")


def make_context(folder: Path, seed: int) -> Traded:
    """One share, beside two others that its policy reads."""
    names = ("AAPL", "SPY", "QQQ")
    contracts = ", ".join(f"{name}: {{contract: {SHARE.format(name)}}}" for name in names[1:])
    return _make_shares(
        folder, CONTEXT, names, seed, SHARE.format(names[0]), f"context: {{contracts: {{{contracts}}}}}"
    )


def _make_shares(
    folder: Path, settings: dict[str, Any], names: tuple[str, ...], seed: int, contract: str, more: str
) -> Traded:
    experiment = parse_experiment({**settings, "seed": seed}, str(settings["name"]))
    edge, catalog = PlantedEdge(), folder / "catalog"
    for number, name in enumerate(names):
        share = resolve(name, instruments_path())
        made = synthetic_sessions(share, FIRST_DAY, LAST_DAY, seed=seed + number, edge=edge, start_price=300.0)
        write_bars(catalog, share, made.bars, synthetic_provenance(share, made.bars, edge, seed + number))
    bundle = train_experiment(experiment, catalog, folder / "runs").bundle
    return Traded(bundle, catalog, contract, more, days=10, most_skipped=3_000)


def make_traded(folder: Path, seed: int) -> Traded:
    """Write the catalog and train the bundle; takes a minute on two slow cores."""
    catalog = make_catalog(folder, seed)
    experiment = parse_experiment({**EXPERIMENT, "seed": seed}, "faults")
    return Traded(train_experiment(experiment, catalog, folder / "runs").bundle, catalog)


def make_catalog(folder: Path, seed: int) -> Path:
    """Write the catalog alone."""
    experiment = parse_experiment({**EXPERIMENT, "seed": seed}, "faults")
    instrument = resolve(experiment.instrument, instruments_path(), experiment.train.end)
    edge, catalog = PlantedEdge(), folder / "catalog"
    made = synthetic_sessions(instrument, FIRST_DAY, LAST_DAY, seed=seed, edge=edge)
    write_bars(catalog, instrument, made.bars, synthetic_provenance(instrument, made.bars, edge, seed))
    return catalog
