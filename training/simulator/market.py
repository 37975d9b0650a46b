"""The market that environments step through: features of all bars, computed once, and trading days as episodes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import SessionCalendar
from rl_strategies.accounting.account import GRACE_NS
from rl_strategies.backtest.opening_trades import opening_lead_ns
from rl_strategies.decision.core import decision_waits, observation_names
from rl_strategies.decision.instrument import ATR_FEATURE
from rl_strategies.decision.observation import HELD_OUTPUT, MASK_OUTPUTS
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig, pack_rules
from rl_strategies.decision.slippage import slippage_stream
from rl_strategies.features import (
    FeaturePlan,
    JoinedPlan,
    PruningConfig,
    StreamRows,
    context_streams,
    input_rows,
    pruned_plan,
)
from rl_strategies.risk.config import pack_limits
from training.simulator.arrays import BAR, SETTINGS, SharedArrays
from training.simulator.clock_index import build_clock_index
from training.simulator.episodes import Held, choose_episodes
from training.simulator.matching import book_sizes

Plan = FeaturePlan | JoinedPlan


@dataclass(frozen=True)
class TrainingMarket:
    """Bars, features and episodes of one or many instruments, with their trading rules.

    Attributes
    ----------
    instruments : tuple of InstrumentSpec
    series : tuple of BarSeries
        One per instrument.
    plan : FeaturePlan or JoinedPlan
    context : mapping of str to StreamRows
        Rows of each stream of the plan.
    trading, execution : TradingConfig, ExecutionConfig
    arrays : training.simulator.arrays.SharedArrays
    session_dates : datetime64[D][m]
        Trading day of every episode.
    skipped : dict of str to int
        Trading days from start to end that are not episodes, by reason.
    """

    instruments: tuple[InstrumentSpec, ...]
    series: tuple[BarSeries, ...]
    plan: Plan
    context: Mapping[str, StreamRows]
    trading: TradingConfig
    execution: ExecutionConfig
    arrays: SharedArrays
    session_dates: NDArray[np.datetime64]
    skipped: dict[str, int]

    @property
    def instrument(self) -> InstrumentSpec:
        """The only instrument.

        Raises
        ------
        ValueError
            If there are several.
        """
        (instrument,) = self.instruments
        return instrument

    @property
    def bars(self) -> BarSeries:
        """Bars of the only instrument."""
        (bars,) = self.series
        return bars

    @property
    def calendar(self) -> SessionCalendar:
        """Calendar of the only instrument."""
        return self.instrument.sessions

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observation's entries, in order."""
        return observation_names(self.instruments, self.plan, self.trading)

    @property
    def mask_columns(self) -> int:
        """Last columns of the observation that are the action mask."""
        return len(MASK_OUTPUTS) * len(self.instruments) if self.trading.mask_actions else 0

    @property
    def held_columns(self) -> tuple[int, ...]:
        """Columns of the observation with the side held, one per instrument."""
        return tuple(i for i, name in enumerate(self.observation_names) if name.rpartition(".")[2] == HELD_OUTPUT)

    @property
    def volume_known(self) -> bool:
        """Whether the bars of all instruments carry their true volume."""
        return all(bars.volume_known for bars in self.series)

    @property
    def data_hash(self) -> str:
        """SHA-256 over all bars and all context rows."""
        hashes = [bars.hash for bars in self.series]
        for name in sorted(self.context):
            rows = self.context[name]
            hashes += [name, hashlib.sha256(rows.ts_ns.tobytes() + rows.rows.tobytes()).hexdigest()]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()

    @property
    def starting_usd(self) -> float:
        """Default balance at the start of an episode."""
        return float(self.arrays.settings[0].starting_cents) / 100.0

    def close_ns(self, episode: int) -> int:
        """When the last session of an episode's day closes, UTC nanoseconds."""
        day = self.session_dates[episode]
        closes = []
        for instrument in self.instruments:
            calendar = instrument.sessions
            index = int(np.searchsorted(calendar.session_date, day))
            if index < len(calendar.session_date) and calendar.session_date[index] == day:
                closes.append(int(calendar.close_ns[index]))
        return max(closes)

    def __len__(self) -> int:
        return len(self.session_dates)


def build_market(
    bars: BarSeries,
    instrument: InstrumentSpec,
    plan: Plan,
    trading: TradingConfig,
    execution: ExecutionConfig,
    *,
    start: date | None = None,
    end: date | None = None,
    context: Mapping[str, StreamRows] | None = None,
) -> TrainingMarket:
    """`build_portfolio_market` of one instrument."""
    held = [(instrument, bars)]
    return build_portfolio_market(held, plan, trading, execution, start=start, end=end, context=context)


def build_portfolio_market(
    held: Held,
    plan: Plan,
    trading: TradingConfig,
    execution: ExecutionConfig,
    *,
    start: date | None = None,
    end: date | None = None,
    context: Mapping[str, StreamRows] | None = None,
) -> TrainingMarket:
    """Compute features over all bars and cut the trading days from ``start`` to ``end`` (inclusive) into episodes.

    Bars before ``start`` warm the features up. A day is skipped if the features of an instrument are not warm at its
    first bar, or if it offers no decision.

    Parameters
    ----------
    held : sequence of (InstrumentSpec, BarSeries)
        In the order of the policy's targets.
    plan : FeaturePlan or JoinedPlan
        The same for every instrument.
    trading, execution : TradingConfig, ExecutionConfig
    start, end : date, optional
    context : mapping of str to StreamRows, optional
        One per stream of a joined plan.

    Raises
    ------
    InputError
        If no episode is left, or a feature is not finite inside one.
    """
    held = [(instrument, _until_expiry(instrument, bars)) for instrument, bars in held]
    instruments = tuple(instrument for instrument, _ in held)
    series = tuple(bars for _, bars in held)
    rules = pack_rules(instruments, trading, execution)
    read = {stream.name for stream in context_streams(plan)}
    context = {name: stream for name, stream in (context or {}).items() if name in read}
    rows, values = _features(held, plan, context)
    clock = build_clock_index([bars.ts_ns for bars in series])
    warm_after = np.array([_rows_to_warm_up(plan, bars.ts_ns, context) for bars in series])
    chosen = choose_episodes(held, clock, warm_after, trading, start, end)
    if len(chosen.days) == 0:
        raise InputError(_no_episode(held, start, end, chosen.skipped))
    arrays = SharedArrays(
        _bars(series, plan, rows, values, int(rules["adaptive"][0]), execution.fill == "next_open"),
        np.ascontiguousarray(values[:, : plan.observed], np.float32),
        *clock,
        chosen.episodes,
        chosen.open_ns,
        chosen.flat_ns,
        rules,
        pack_limits(trading.risk),
        pack_limits(trading.risk),
        slippage_stream(execution.ticks_on_every_fill, execution.slippage_probability, execution.slippage_seed),
        _settings(series, plan, trading, execution),
    )
    _require_finite(arrays, values, plan)
    return TrainingMarket(instruments, series, plan, context, trading, execution, arrays, chosen.days, chosen.skipped)


def constant_features(market: TrainingMarket) -> tuple[str, ...]:
    """Observed features that are constant over the episodes: useless to a policy, and often a sign of a mistake."""
    inside = _rows_seen(market.arrays)
    features = market.arrays.features[inside]
    names = market.plan.outputs[: market.plan.observed]
    return tuple(name for name, low, high in zip(names, features.min(0), features.max(0), strict=True) if low == high)


def prune(markets: Sequence[TrainingMarket], config: PruningConfig) -> Plan:
    """The markets' common plan without the features that add nothing over their episodes.

    Parameters
    ----------
    markets : sequence of TrainingMarket
        Training markets only.
    config : PruningConfig
    """
    seen = [market.arrays.features[_rows_seen(market.arrays)] for market in markets]
    return pruned_plan(markets[0].plan, np.concatenate(seen).astype(np.float64), config)


def with_plan(market: TrainingMarket, plan: Plan) -> TrainingMarket:
    """The market under a plan that computes the same features and observes fewer of them."""
    own = market.plan.outputs[: market.plan.observed]
    columns = [own.index(name) for name in plan.outputs[: plan.observed]]
    features = np.ascontiguousarray(market.arrays.features[:, columns])
    return replace(market, plan=plan, arrays=market.arrays._replace(features=features))


def without_limits(market: TrainingMarket, names: Sequence[str]) -> TrainingMarket:
    """The market with limits that the policy observes but may exceed, so that exploration does not use them up."""
    enforced = market.arrays.limits.copy()
    for name in names:
        enforced[name] = 0.0
    return replace(market, arrays=market.arrays._replace(enforced=enforced))


def with_sessions(
    market: TrainingMarket, chosen: NDArray[np.bool_], left_out: Mapping[str, int] | None = None
) -> TrainingMarket:
    """The market with the ``chosen`` sessions alone, bool[m]; ``left_out`` counts others by the reason to tell."""
    arrays = market.arrays
    parts = {name: getattr(arrays, name)[chosen] for name in ("episodes", "open_ns", "flat_ns")}
    return replace(
        market,
        arrays=arrays._replace(**parts),
        session_dates=market.session_dates[chosen],
        skipped=market.skipped | dict(left_out or {}),
    )


def _until_expiry(instrument: InstrumentSpec, bars: BarSeries) -> BarSeries:
    # Vendors send stray bars after a contract's last moment of trading, and brokers close some out before it.
    if not instrument.tradable_until_ns or bars.ts_ns[-1] <= instrument.tradable_until_ns:
        return bars
    kept = bars.slice(0, int(np.searchsorted(bars.ts_ns, instrument.tradable_until_ns, side="right")))
    if len(kept) == 0:
        expired = np.datetime64(instrument.tradable_until_ns, "ns").astype("datetime64[D]")
        raise InputError(f"{instrument.instrument_id} must have bars before it expires on {expired}, had none")
    return kept


def _settings(
    series: Sequence[BarSeries], plan: Plan, trading: TradingConfig, execution: ExecutionConfig
) -> NDArray[np.void]:
    settings = np.zeros(1, SETTINGS)
    settings["starting_cents"] = execution.starting_cents
    settings["at_open"] = execution.fill == "next_open"
    settings["open_lead_ns"] = opening_lead_ns(series, trading, execution)
    settings["delay_ns"] = GRACE_NS if decision_waits(len(series), plan) else 0
    return settings


def _features(
    held: Held, plan: Plan, context: Mapping[str, StreamRows]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Input rows and outputs of the plan for all bars, one instrument after another.
    rows = [input_rows(bars, spec.sessions, plan.columns) for spec, bars in held]
    values = [_values(plan, part, bars.ts_ns, context) for (_, bars), part in zip(held, rows, strict=True)]
    return np.concatenate(rows), np.concatenate(values)


def _values(
    plan: Plan, rows: NDArray[np.float64], ts_ns: NDArray[np.int64], context: Mapping[str, StreamRows]
) -> NDArray[np.float64]:
    return plan.batch(rows, ts_ns, context) if isinstance(plan, JoinedPlan) else plan.batch(rows)


def _rows_to_warm_up(plan: Plan, ts_ns: NDArray[np.int64], context: Mapping[str, StreamRows]) -> int:
    # Bars before the first warm one, context included.
    return max(plan.warmup, plan.warm_from(ts_ns, context) + 1) if isinstance(plan, JoinedPlan) else plan.warmup


def _bars(
    series: Sequence[BarSeries],
    plan: Plan,
    rows: NDArray[np.float64],
    values: NDArray[np.float64],
    adaptive: int,
    at_open: bool,
) -> NDArray[np.void]:
    table = np.zeros(len(rows), BAR)
    for column in ("ts_ns", "open", "high", "low", "close", "volume"):
        table[column] = np.concatenate([getattr(bars, column) for bars in series])
    begin = 0
    for bars in series:
        sizes = np.empty(len(bars), np.int64)
        book_sizes(bars.volume, bars.open, bars.high, bars.low, bars.close, adaptive, at_open, sizes)
        table["book_size"][begin : begin + len(bars)] = sizes
        begin += len(bars)
    table["atr"] = values[:, plan.index(ATR_FEATURE)]
    table["since_open"] = rows[:, plan.columns.index("minutes_since_open")]
    table["to_close"] = rows[:, plan.columns.index("minutes_to_close")]
    return table


def _rows_seen(arrays: SharedArrays) -> NDArray[np.int64]:
    episodes = arrays.episodes
    inside = np.zeros(len(arrays.time_ns), bool)
    for first, last in zip(episodes["first"], np.maximum(episodes["last"], episodes["closing"]), strict=True):
        inside[first : last + 1] = True
    return np.unique(arrays.seen[inside])


def _require_finite(arrays: SharedArrays, values: NDArray[np.float64], plan: Plan) -> None:
    rows = _rows_seen(arrays)
    bad = rows[~np.isfinite(values[rows]).all(axis=1)]
    if len(bad):
        row = int(bad[0])
        name = plan.outputs[int(np.argmin(np.isfinite(values[row])))]
        when = np.datetime64(int(arrays.bars["ts_ns"][row]), "ns").astype("datetime64[s]")
        raise InputError(
            f"feature {name!r} must be finite after its warm-up of {plan.warmup} bars, "
            f"was {values[row, plan.index(name)]} at {when}Z"
        )


def _no_episode(held: Held, start: date | None, end: date | None, skipped: dict[str, int]) -> str:
    names = ", ".join(bars.bar_type for _, bars in held)
    first = np.datetime64(int(min(bars.ts_ns[0] for _, bars in held)), "ns").astype("datetime64[D]")
    last = np.datetime64(int(max(bars.ts_ns[-1] for _, bars in held)), "ns").astype("datetime64[D]")
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count) or "no bars"
    return (
        f"{names}: no tradable session from {start or 'the start'} to {end or 'the end'} "
        f"({reasons}); the catalog has {first} to {last}"
    )
