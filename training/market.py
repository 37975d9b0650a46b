"""From bars to what the environments walk through: features once for all lanes, trading days as episodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments import InstrumentSpec
from catalogs.sessions import SessionCalendar, session_calendar
from rl_strategies.decision import observation_names
from rl_strategies.features import FeaturePlan, input_rows
from rl_strategies.instrument_core import ATR_FEATURE, NS_PER_MINUTE
from rl_strategies.observation import MASK_OUTPUTS
from rl_strategies.opening import opening_lead_ns
from rl_strategies.risk.config import pack_limits
from rl_strategies.rules import ExecutionConfig, TradingConfig, pack_rules
from rl_strategies.slippage import slippage_stream
from training.matching import book_sizes
from training.timeline import Timeline, build_timeline
from training.world import BAR, EPISODE, SETTINGS, World

PORTFOLIO_DELAY_NS = 1  # RLStrategyConfig.grace_ns of every replay


@dataclass(frozen=True)
class TrainingMarket:
    """Bars, features and episodes of one or many instruments, with the rules they are traded by.

    Attributes
    ----------
    instruments : tuple of InstrumentSpec
    series : tuple of BarSeries
        One per instrument.
    plan : FeaturePlan
    trading, execution : TradingConfig, ExecutionConfig
    world : training.world.World
    session_dates : datetime64[D][m]
        Trading day of every episode.
    skipped : dict of str to int
        Trading days of the window that are no episodes, by reason.
    """

    instruments: tuple[InstrumentSpec, ...]
    series: tuple[BarSeries, ...]
    plan: FeaturePlan
    trading: TradingConfig
    execution: ExecutionConfig
    world: World
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
        return session_calendar(self.instrument.calendar)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observation's entries, in order."""
        return observation_names(self.instruments, self.plan, self.trading)

    @property
    def mask_columns(self) -> int:
        """Last columns of the observation that are the action mask."""
        return len(MASK_OUTPUTS) * len(self.instruments) if self.trading.mask_actions else 0

    @property
    def starting_usd(self) -> float:
        """Balance that an episode begins with unless told otherwise."""
        return float(self.world.settings[0].starting_cents) / 100.0

    def close_ns(self, episode: int) -> int:
        """When the last session of an episode's day closes, UTC nanoseconds."""
        day = self.session_dates[episode]
        closes = []
        for instrument in self.instruments:
            calendar = session_calendar(instrument.calendar)
            index = int(np.searchsorted(calendar.session_date, day))
            if index < len(calendar.session_date) and calendar.session_date[index] == day:
                closes.append(int(calendar.close_ns[index]))
        return max(closes)

    def __len__(self) -> int:
        return len(self.session_dates)


def build_market(
    bars: BarSeries,
    instrument: InstrumentSpec,
    plan: FeaturePlan,
    trading: TradingConfig,
    execution: ExecutionConfig,
    *,
    start: date | None = None,
    end: date | None = None,
) -> TrainingMarket:
    """`build_portfolio_market` of one instrument."""
    return build_portfolio_market([(instrument, bars)], plan, trading, execution, start=start, end=end)


def build_portfolio_market(
    held: Sequence[tuple[InstrumentSpec, BarSeries]],
    plan: FeaturePlan,
    trading: TradingConfig,
    execution: ExecutionConfig,
    *,
    start: date | None = None,
    end: date | None = None,
) -> TrainingMarket:
    """Compute features over all bars and cut the trading days from ``start`` to ``end`` (inclusive) into episodes.

    Bars before ``start`` warm the features up. A day is no episode where the features of an instrument are not warm
    at its first bar or where it offers no decision.

    Parameters
    ----------
    held : sequence of (InstrumentSpec, BarSeries)
        In the policy's order.
    plan : FeaturePlan
        The same for every instrument.
    trading, execution : TradingConfig, ExecutionConfig
    start, end : date, optional

    Raises
    ------
    InputError
        If no day remains, or a feature is not finite inside an episode.
    """
    instruments = tuple(instrument for instrument, _ in held)
    series = tuple(bars for _, bars in held)
    rules = pack_rules(instruments, trading, execution)
    rows = np.concatenate([input_rows(bars, session_calendar(spec.calendar), plan.columns) for spec, bars in held])
    cuts = np.cumsum([len(bars) for bars in series])[:-1]
    values = np.concatenate([plan.batch(part) for part in np.split(rows, cuts)])
    timeline = build_timeline([bars.ts_ns for bars in series])
    chosen = _episodes(held, timeline, plan.warmup, trading, start, end)
    if len(chosen.days) == 0:
        raise InputError(_nothing_left(held, start, end, chosen.skipped))
    settings = np.zeros(1, SETTINGS)
    settings["starting_cents"] = execution.starting_cents
    settings["at_open"] = execution.fill == "next_open"
    settings["open_lead_ns"] = opening_lead_ns(series, trading, execution)
    settings["delay_ns"] = PORTFOLIO_DELAY_NS if len(held) > 1 else 0
    world = World(
        _bars(series, plan, rows, values, int(rules["adaptive"][0]), execution.fill == "next_open"),
        np.ascontiguousarray(values[:, : plan.observed], np.float32),
        *timeline,
        chosen.episodes,
        chosen.open_ns,
        chosen.flat_ns,
        rules,
        pack_limits(trading.risk),
        slippage_stream(execution),
        settings,
    )
    _require_finite(world, values, plan)
    return TrainingMarket(instruments, series, plan, trading, execution, world, chosen.days, chosen.skipped)


def constant_features(built: TrainingMarket) -> tuple[str, ...]:
    """Observed features that never change within the episodes: they carry nothing and mostly betray a mistake."""
    inside = _rows_seen(built.world)
    features = built.world.features[inside]
    names = built.plan.outputs[: built.plan.observed]
    return tuple(name for name, low, high in zip(names, features.min(0), features.max(0), strict=True) if low == high)


class _Chosen(NamedTuple):
    episodes: NDArray[np.void]
    open_ns: NDArray[np.int64]
    flat_ns: NDArray[np.int64]
    days: NDArray[np.datetime64]
    skipped: dict[str, int]


def _bars(
    series: Sequence[BarSeries],
    plan: FeaturePlan,
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


def _episodes(
    held: Sequence[tuple[InstrumentSpec, BarSeries]],
    timeline: Timeline,
    warmup: int,
    trading: TradingConfig,
    start: date | None,
    end: date | None,
) -> _Chosen:
    day_of = _days(held, timeline)
    first = np.flatnonzero(np.concatenate([[True], day_of[1:] != day_of[:-1]]))
    stop = np.append(first[1:], len(day_of))
    days = day_of[first]
    flatten_ns = trading.risk.flatten_before_close_minutes * NS_PER_MINUTE
    hours = [_hours(session_calendar(spec.calendar), days, flatten_ns) for spec, _ in held]
    open_ns, flat_ns = (np.stack(columns, axis=1) for columns in zip(*hours, strict=True))
    last_flat = flat_ns.max(axis=1)
    # Decisions are taken before the last closing time of the day; bars of that very time still happen.
    ends = np.minimum(np.searchsorted(timeline.time_ns, last_flat), stop)
    closing = np.minimum(ends, len(day_of) - 1)
    has_closing = (ends < stop) & (timeline.time_ns[closing] == last_flat)
    in_window, walkable = _in_window(days, start, end), ends > first
    warm = _bars_before(timeline, first) >= warmup
    chosen = np.flatnonzero(in_window & warm & walkable)
    episodes = np.zeros(len(chosen), EPISODE)
    episodes["first"] = first[chosen]
    episodes["last"] = ends[chosen] - 1
    episodes["closing"] = np.where(has_closing, closing, -1)[chosen]
    skipped = {
        "features not warm": int((in_window & ~warm).sum()),
        "too few bars": int((in_window & warm & ~walkable).sum()),
    }
    return _Chosen(episodes, open_ns[chosen], flat_ns[chosen], days[chosen], skipped)


def _days(held: Sequence[tuple[InstrumentSpec, BarSeries]], timeline: Timeline) -> NDArray[np.datetime64]:
    # The trading day of a time is that of any bar that closed then; calendars agree on it.
    day_of = np.empty(len(timeline.time_ns), "datetime64[D]")
    for k, (spec, bars) in enumerate(held):
        calendar = session_calendar(spec.calendar)
        present = timeline.row[:, k] >= 0
        day_of[present] = calendar.session_date[calendar.locate(bars.ts_ns)]
    return day_of


def _hours(
    calendar: SessionCalendar, days: NDArray[np.datetime64], flatten_ns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    index = np.minimum(np.searchsorted(calendar.session_date, days), len(calendar.session_date) - 1)
    has = calendar.session_date[index] == days
    return np.where(has, calendar.open_ns[index], 0), np.where(has, calendar.close_ns[index] - flatten_ns, 0)


def _bars_before(timeline: Timeline, first: NDArray[np.int64]) -> NDArray[np.int64]:
    # Bars that the instrument with the fewest had before each day; rows of instruments follow one another.
    counts = np.cumsum(timeline.row >= 0, axis=0)
    before = np.where(first[:, np.newaxis] > 0, counts[np.maximum(first - 1, 0)], 0)
    return before.min(axis=1)


def _in_window(dates: NDArray[np.datetime64], start: date | None, end: date | None) -> NDArray[np.bool_]:
    inside = np.ones(len(dates), bool)
    if start is not None:
        inside &= dates >= np.datetime64(start)
    if end is not None:
        inside &= dates <= np.datetime64(end)
    return inside


def _rows_seen(world: World) -> NDArray[np.int64]:
    episodes = world.episodes
    inside = np.zeros(len(world.time_ns), bool)
    for first, last in zip(episodes["first"], np.maximum(episodes["last"], episodes["closing"]), strict=True):
        inside[first : last + 1] = True
    return np.unique(world.seen[inside])


def _require_finite(world: World, values: NDArray[np.float64], plan: FeaturePlan) -> None:
    rows = _rows_seen(world)
    bad = rows[~np.isfinite(values[rows]).all(axis=1)]
    if len(bad):
        row = int(bad[0])
        name = plan.outputs[int(np.argmin(np.isfinite(values[row])))]
        when = np.datetime64(int(world.bars["ts_ns"][row]), "ns").astype("datetime64[s]")
        raise InputError(
            f"feature {name!r} must be finite after {plan.warmup} bars of warm-up, "
            f"was {values[row, plan.index(name)]} at {when}Z"
        )


def _nothing_left(
    held: Sequence[tuple[InstrumentSpec, BarSeries]],
    start: date | None,
    end: date | None,
    skipped: dict[str, int],
) -> str:
    names = ", ".join(bars.bar_type for _, bars in held)
    first = np.datetime64(int(min(bars.ts_ns[0] for _, bars in held)), "ns").astype("datetime64[D]")
    last = np.datetime64(int(max(bars.ts_ns[-1] for _, bars in held)), "ns").astype("datetime64[D]")
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count) or "no session in it"
    return (
        f"{names}: the window {start or 'start'} to {end or 'end'} must hold a tradable session, "
        f"was empty ({reasons}; the catalog has {first} to {last})"
    )
