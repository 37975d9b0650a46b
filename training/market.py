"""From bars to what the environments walk through: features once for all lanes, sessions as episodes."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments import InstrumentSpec
from catalogs.sessions import SESSION_COLUMNS, SessionCalendar, session_calendar, session_columns
from rl_strategies.decision import ATR_FEATURE, NS_PER_MINUTE
from rl_strategies.features import FeaturePlan, input_rows
from rl_strategies.observation import position_outputs
from rl_strategies.rules import ExecutionConfig, TradingConfig, pack_rules
from training.simulator import Episodes, Market, book_sizes

MINIMUM_DECISIONS = 1


@dataclass(frozen=True)
class TrainingMarket:
    """One instrument's bars, features and episodes, with the rules it is traded by.

    Attributes
    ----------
    instrument : InstrumentSpec
    bars : BarSeries
    plan : FeaturePlan
    trading, execution : TradingConfig, ExecutionConfig
    calendar : SessionCalendar
    market, episodes : training.simulator.Market, training.simulator.Episodes
    rules : record of `rl_strategies.rules.RULES`, shape (1,)
    session : int64[m]
        Index into the calendar of every episode.
    skipped : dict of str to int
        Sessions of the window that are no episodes, by reason.
    """

    instrument: InstrumentSpec
    bars: BarSeries
    plan: FeaturePlan
    trading: TradingConfig
    execution: ExecutionConfig
    calendar: SessionCalendar
    market: Market
    episodes: Episodes
    rules: Any
    session: NDArray[np.int64]
    skipped: dict[str, int]

    @property
    def observation_names(self) -> tuple[str, ...]:
        """Names of the observation's entries, in order."""
        observed = self.plan.outputs[: self.plan.observed]
        return (*observed, *position_outputs(self.trading.barriers, self.trading.risk))

    @property
    def session_dates(self) -> NDArray[np.datetime64]:
        """Trading day of every episode; datetime64[D][m]."""
        return self.calendar.session_date[self.session]

    def __len__(self) -> int:
        return len(self.session)


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
    """Compute features over all ``bars`` and cut the sessions from ``start`` to ``end`` (inclusive) into episodes.

    Bars before ``start`` warm the features up. A session is no episode where the features are not warm at its first
    bar or where it offers no decision.

    Raises
    ------
    InputError
        If no session remains, or a feature is not finite inside an episode.
    """
    calendar = session_calendar(instrument.calendar)
    columns = session_columns(calendar, bars.ts_ns)
    values = plan.batch(input_rows(bars, calendar))
    rules = pack_rules(instrument, trading, execution)
    flatten = trading.risk.flatten_before_close_minutes
    market = _market(bars, plan, columns, values, rules, flatten)
    session = columns[:, SESSION_COLUMNS.index("session")].astype(np.int64)
    flat_ns = calendar.close_ns[session] - flatten * NS_PER_MINUTE
    first = np.flatnonzero(np.diff(session, prepend=session[0] - 1))
    decisions = np.add.reduceat(bars.ts_ns < flat_ns, first)
    dates = calendar.session_date[session[first]]
    in_window = _in_window(dates, start, end)
    warm = first >= plan.warmup
    walkable = decisions >= MINIMUM_DECISIONS
    chosen = np.flatnonzero(in_window & warm & walkable)
    skipped = {
        "features not warm": int((in_window & ~warm).sum()),
        "too few bars": int((in_window & warm & ~walkable).sum()),
    }
    if len(chosen) == 0:
        raise InputError(_nothing_left(bars, calendar, session, start, end, skipped))
    last = first[chosen] + decisions[chosen] - 1
    closing = np.minimum(last + 1, len(bars) - 1)
    at_closing = bars.ts_ns[closing] == flat_ns[first[chosen]]
    episodes = Episodes(first[chosen], last, flat_ns[first[chosen]], np.where(at_closing, closing, -1).astype(np.int64))
    _require_finite(values, plan, bars, episodes)
    return TrainingMarket(
        instrument,
        bars,
        plan,
        trading,
        execution,
        calendar,
        market,
        episodes,
        rules,
        session[first[chosen]],
        skipped,
    )


def constant_features(built: TrainingMarket) -> tuple[str, ...]:
    """Observed features that never change within the episodes: they carry nothing and mostly betray a mistake."""
    inside = np.zeros(len(built.bars), bool)
    for first, last in zip(built.episodes.first, built.episodes.last, strict=True):
        inside[first : last + 1] = True
    features = built.market.features[inside]
    names = built.plan.outputs[: built.plan.observed]
    return tuple(name for name, low, high in zip(names, features.min(0), features.max(0), strict=True) if low == high)


def _market(
    bars: BarSeries,
    plan: FeaturePlan,
    columns: NDArray[np.float64],
    values: NDArray[np.float64],
    rules: Any,
    flatten_minutes: int,
) -> Market:
    since_open = columns[:, SESSION_COLUMNS.index("minutes_since_open")]
    to_close = columns[:, SESSION_COLUMNS.index("minutes_to_close")]
    time_left = np.maximum(0.0, (to_close - flatten_minutes) / (since_open + to_close - flatten_minutes))
    return Market(
        bars.ts_ns,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        book_sizes(bars.volume, bars.open, bars.high, bars.low, bars.close, rules[0]),
        np.ascontiguousarray(values[:, : plan.observed], np.float32),
        np.ascontiguousarray(values[:, plan.index(ATR_FEATURE)]),
        time_left,
    )


def _in_window(dates: NDArray[np.datetime64], start: date | None, end: date | None) -> NDArray[np.bool_]:
    inside = np.ones(len(dates), bool)
    if start is not None:
        inside &= dates >= np.datetime64(start)
    if end is not None:
        inside &= dates <= np.datetime64(end)
    return inside


def _require_finite(values: NDArray[np.float64], plan: FeaturePlan, bars: BarSeries, episodes: Episodes) -> None:
    bad_rows = ~np.isfinite(values).all(axis=1)
    for first, last, flat_row in zip(episodes.first, episodes.last, episodes.flat_row, strict=True):
        stop = max(last, flat_row) + 1
        if bad_rows[first:stop].any():
            row = first + int(np.argmax(bad_rows[first:stop]))
            name = plan.outputs[int(np.argmin(np.isfinite(values[row])))]
            when = np.datetime64(int(bars.ts_ns[row]), "ns").astype("datetime64[s]")
            raise InputError(
                f"feature {name!r} must be finite after {plan.warmup} bars of warm-up, "
                f"was {values[row, plan.index(name)]} at {when}Z"
            )


def _nothing_left(
    bars: BarSeries,
    calendar: SessionCalendar,
    session: NDArray[np.int64],
    start: date | None,
    end: date | None,
    skipped: dict[str, int],
) -> str:
    have = f"{calendar.session_date[session[0]]} to {calendar.session_date[session[-1]]}"
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items() if count) or "no session in it"
    return (
        f"{bars.bar_type}: the window {start or 'start'} to {end or 'end'} must hold a tradable session, "
        f"was empty ({reasons}; the catalog has {have})"
    )
