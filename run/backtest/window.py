"""Time range of a backtest: the bars that warm features up, and those that are traded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.bundle.bundle import Bundle
from rl_strategies.features import StreamSpec, context_streams
from rl_strategies.features.plans.streams import NS_PER_SECOND
from training.simulator.market import TrainingMarket


@dataclass(frozen=True)
class ReplayWindow:
    """Times of a replay, UTC nanoseconds.

    Attributes
    ----------
    warm_from_ns : int
        Close of the first bar of the warm-up.
    trade_from_ns : int
        Close of the first bar of the first session to be traded.
    end_ns : int
        Close of the last session. The clock runs on to it, so that positions are closed on time even if the bars of
        that session end early.
    """

    warm_from_ns: int
    trade_from_ns: int
    end_ns: int


def backtest_window(market: TrainingMarket, bundle: Bundle) -> ReplayWindow:
    """Window over all episodes of a market that starts early enough to warm up every instrument and stream."""
    arrays = market.arrays
    trade_from_ns = int(arrays.time_ns[arrays.episodes["first"][0]])
    starts = [
        _session_start(spec, bars.ts_ns, int(np.searchsorted(bars.ts_ns, trade_from_ns)) - market.plan.warmup)
        for spec, bars in zip(market.instruments, market.series, strict=True)
    ]
    own_from_ns = min(starts)
    for stream, source in _bar_streams(market, bundle):
        known = market.context[stream.name].ts_ns
        row = int(np.searchsorted(known, own_from_ns - stream.lag_s * NS_PER_SECOND, side="right"))
        starts.append(_session_start(source, known, row - stream.plan().warmup))
    return ReplayWindow(min(starts), trade_from_ns, market.close_ns(len(market) - 1))


def _bar_streams(market: TrainingMarket, bundle: Bundle) -> list[tuple[StreamSpec, InstrumentSpec]]:
    instruments = {source.name: source.instrument for source in bundle.context}
    pairs = [(stream, instruments[stream.name]) for stream in context_streams(market.plan)]
    return [(stream, instrument) for stream, instrument in pairs if instrument is not None]


def _session_start(spec: InstrumentSpec, ts_ns: NDArray[np.int64], row: int) -> int:
    # Whole sessions: features that reset with the session must see its first bar.
    calendar, row = spec.sessions, min(max(row, 0), len(ts_ns) - 1)
    session = int(calendar.locate(ts_ns[row : row + 1])[0])
    return int(ts_ns[np.searchsorted(ts_ns, calendar.open_ns[session], side="right")])
