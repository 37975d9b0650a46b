"""What the presets learn where there is nothing to win, and where there is: net results out of sample.

Null markets (`catalogs.synthetic.null_markets`) are made of the SPY minutes of the default catalog, or of synthetic
ones where it has none. Planted edges are the demo's: as it is, with a weaker drift, and with ten entries a session. The
settings of today's presets are compared with those of before, which drew a side every minute, learned under the limit
on entries, and traded whatever had been kept. Sessions are split by date: 60 to learn from, 20 to validate, 40 to test;
of an edge 22, 10 and 14. A policy that abstains earns 0.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_type_of
from catalogs.instruments.specification import InstrumentSpec, resolve
from catalogs.sessions import has_extended_hours
from catalogs.storage.arrow import read_bars
from catalogs.synthetic import PlantedEdge, synthetic_sessions
from catalogs.synthetic.null_markets import KINDS, null_market
from configs import instruments_path
from configs.schema import Experiment, load_experiment
from rl_strategies.features import DataAtHand
from rl_strategies.policy.policies import BatchPolicy
from training.envs.make_envs import make_envs
from training.learning.fit import fit
from training.learning.torch_policy import TorchBatchPolicy
from training.simulator.lanes import rollout
from training.simulator.market import TrainingMarket, build_market

CATALOG = Path("catalogs/store")
STEPS = 200_000
NULL_SPLIT, EDGE_SPLIT = (60, 20, 40), (22, 10, 14)
BEFORE: dict[str, Any] = {"persistence_bars": 1.0, "entries_unlimited": False, "beat_flat_by": 0.0}
SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (("", {}), ("_before", BEFORE))
EDGES: dict[str, tuple[PlantedEdge, int]] = {
    "edge": (PlantedEdge(), 0),
    "weak_edge": (PlantedEdge(drift_ticks=0.45), 0),
    "edge_of_ten_entries": (PlantedEdge(), 10),
}


@dataclass(frozen=True)
class Outcome:
    """One training, tested.

    Attributes
    ----------
    net_usd : float
        Net PnL a test session.
    entries : float
        Entries a test session.
    abstains : bool
    """

    net_usd: float
    entries: float
    abstains: bool


Markets = tuple[TrainingMarket, TrainingMarket, TrainingMarket]


def measure(seed: int, cycles: int = 7) -> dict[str, float]:
    """Means over ``cycles`` null markets of each kind, and over as many edges, at most three."""
    figures: dict[str, float] = {}
    pairs = [(kind, seed + 1 + k) for kind in KINDS for k in range(cycles)]
    nulls: dict[str, list[Outcome]] = {"": [], "_before": []}
    for kind, place in pairs:
        experiment, markets = _null(kind, place)
        for name, changes in SETTINGS:
            outcome = _trial(experiment, markets, place, changes)
            nulls[name].append(outcome)
            _say(f"{kind}{name}", place, outcome)
    for name, outcomes in nulls.items():
        figures[f"null_net_usd{name}"] = float(np.mean([o.net_usd for o in outcomes]))
        figures[f"null_entries{name}"] = float(np.mean([o.entries for o in outcomes]))
        figures[f"null_trading_share{name}"] = float(np.mean([not o.abstains for o in outcomes]))
    figures["null_pairs"] = float(len(pairs))
    for edge in EDGES:
        experiment, markets, oracle = _planted(edge)
        for name, changes in SETTINGS:
            shares = []
            for place in range(seed + 1, seed + 1 + min(cycles, 3)):
                outcome = _trial(experiment, markets, place, changes)
                _say(f"{edge}{name}", place, outcome)
                shares.append(outcome.net_usd / oracle)
            figures[f"{edge}_share_of_oracle{name}"] = float(np.median(shares))
    return figures


def _say(what: str, seed: int, outcome: Outcome) -> None:
    said = "abstains" if outcome.abstains else f"{outcome.net_usd:,.1f} USD and {outcome.entries:.1f} entries a session"
    print(f"{what}, seed {seed}: {said}", file=sys.stderr, flush=True)


def _trial(experiment: Experiment, markets: Markets, seed: int, changes: dict[str, Any]) -> Outcome:
    learner = msgspec.structs.replace(experiment.learner, **changes)
    learned, validated, tested = markets
    env = make_envs(learner, [learned], reward=experiment.reward, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        result = fit(
            learner, env, Path(folder) / "run", seed=seed, mask_columns=learned.mask_columns,
            held_columns=learned.held_columns, validate=lambda fresh: _play(validated, fresh())[0],
            on_update=lambda _: None,
        )  # fmt: skip
        pnl, entries = _play(tested, TorchBatchPolicy(result.model, result.vecnormalize))
    if result.summary.beats_flat is False:
        return Outcome(0.0, 0.0, abstains=True)
    return Outcome(float(pnl.mean()), entries, abstains=False)


def _play(market: TrainingMarket, policy: BatchPolicy) -> tuple[np.ndarray, float]:
    lanes = rollout(market, lambda seen, begun, at: policy.act_batch(seen, begun), range(len(market)), 0)
    return lanes.equity - market.starting_usd, float(lanes.state.legs["entries"].mean())


def _null(kind: str, seed: int) -> tuple[Experiment, Markets]:
    experiment = load_experiment("spy_single", {"learner.total_timesteps": STEPS}, {})
    instrument, bars = _spy()
    return experiment, _split(experiment, instrument, null_market(kind, bars, instrument.sessions, seed), NULL_SPLIT)


def _spy() -> tuple[InstrumentSpec, BarSeries]:
    instrument = resolve("SPY", instruments_path())
    try:
        return instrument, read_bars(CATALOG, bar_type_of(instrument, "1-MINUTE"))
    except InputError:
        first, last = np.datetime64("2024-03-25"), np.datetime64("2024-10-04")
        return instrument, synthetic_sessions(instrument, first, last, seed=1, start_price=520.0).bars


def _planted(name: str) -> tuple[Experiment, Markets, float]:
    edge, limit = EDGES[name]
    experiment = load_experiment("demo", {"trading.risk.max_entries_per_session": limit}, {})
    if limit:
        learner = msgspec.structs.replace(experiment.learner, entries_unlimited=True)
        experiment = msgspec.structs.replace(experiment, learner=learner)
    instrument = resolve(experiment.instrument, instruments_path(), experiment.train.end)
    made = synthetic_sessions(
        instrument, np.datetime64("2025-01-06"), np.datetime64("2025-03-14"), seed=20250106, edge=edge
    )
    markets = _split(experiment, instrument, made.bars, EDGE_SPLIT)
    lanes = rollout(markets[2], lambda seen, begun, at: made.oracle_side[at] + 1, range(len(markets[2])), 0)
    return experiment, markets, float((lanes.equity - markets[2].starting_usd).mean())


def _split(experiment: Experiment, instrument: InstrumentSpec, bars: BarSeries, sizes: tuple[int, int, int]) -> Markets:
    at_hand = DataAtHand(volume_known=bars.volume_known, extended_hours=has_extended_hours(instrument.calendar))
    plan = experiment.plan(at_hand, ())
    rules = (experiment.trading, experiment.execution)
    days = build_market(bars, instrument, plan, *rules).session_dates
    if len(days) < sum(sizes):
        raise InputError(f"{instrument.instrument_id} must have {sum(sizes)} sessions, has {len(days)}")
    ends = np.cumsum(sizes)
    parts = [days[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    learned, validated, tested = (
        build_market(bars, instrument, plan, *rules, start=part[0].item(), end=part[-1].item()) for part in parts
    )
    return learned, validated, tested
