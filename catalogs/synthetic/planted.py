"""Synthetic sessions with a planted edge, for the demo and for tests: data with a known answer.

The price is a random walk of trades in ticks. On top of it lies the planted edge: each session is cut into segments
of `PlantedEdge.segment_bars` bars. The first bar of a segment is an *impulse* of ``impulse_ticks`` in a random
direction, and every later bar of the segment drifts ``drift_ticks`` in that same direction. Nothing else is
predictable, so the best rule is simple: take the side of the impulse at its close and hold it until the next impulse.

The data are artificial: they show that the machinery finds an edge, not that real markets have one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.hygiene.report import QualityReport
from catalogs.instruments.bar_types import bar_type_of
from catalogs.instruments.specification import InstrumentSpec
from catalogs.sessions import session_calendar
from catalogs.storage.provenance import Provenance, SourceFile

TRADES_PER_BAR = 8
BAR_NS = 60_000_000_000


@dataclass(frozen=True)
class PlantedEdge:
    """The predictable part of the prices, and the noise.

    Attributes
    ----------
    segment_bars : int
        Bars from one impulse to the next.
    impulse_ticks : int
        Move of a segment's first bar.
    drift_ticks : float
        Mean move of each later bar, in the direction of the impulse.
    noise_ticks : float
        Standard deviation of a bar's unpredictable move.
    """

    segment_bars: int = 30
    impulse_ticks: int = 14
    drift_ticks: float = 0.7
    noise_ticks: float = 2.0

    def describe(self) -> str:
        """One sentence for reports."""
        return (
            f"every {self.segment_bars} bars an impulse bar of ±{self.impulse_ticks} ticks sets the direction, and the "
            f"bars after it drift {self.drift_ticks} ticks a bar the same way under noise of {self.noise_ticks} ticks"
        )


@dataclass(frozen=True)
class SyntheticBars:
    """Generated bars and the best side to hold.

    Attributes
    ----------
    bars : BarSeries
    oracle_side : int64[n]
        Side, -1 or 1, that the best rule holds from each bar's close on.
    """

    bars: BarSeries
    oracle_side: NDArray[np.int64]


def synthetic_sessions(
    instrument: InstrumentSpec,
    first_date: np.datetime64,
    last_date: np.datetime64,
    *,
    seed: int,
    edge: PlantedEdge | None = None,
    start_price: float = 6000.0,
) -> SyntheticBars:
    """One-minute bars of whole sessions of the instrument's calendar.

    Parameters
    ----------
    instrument : InstrumentSpec
    first_date, last_date : datetime64[D]
        Trading days, both included.
    seed : int
    edge : PlantedEdge, optional
    start_price : float
        Price before the first bar; rounded to the tick.

    Returns
    -------
    SyntheticBars

    Raises
    ------
    InputError
        If the calendar has no session in the range.
    """
    edge = edge or PlantedEdge()
    calendar = instrument.sessions
    chosen = (calendar.session_date >= first_date) & (calendar.session_date <= last_date)
    if not chosen.any():
        raise InputError(f"calendar {calendar.name} has no session from {first_date} to {last_date}")
    lengths = (calendar.close_ns - calendar.open_ns)[chosen] // BAR_NS
    opens = zip(calendar.open_ns[chosen], lengths, strict=True)
    ts_ns = np.concatenate([open_ns + BAR_NS * np.arange(1, length + 1) for open_ns, length in opens])
    bar_in_session = np.concatenate([np.arange(length) for length in lengths])
    random = np.random.default_rng(seed)
    side = _segment_sides(bar_in_session, edge, random)
    drift = side * np.where(bar_in_session % edge.segment_bars == 0, edge.impulse_ticks, edge.drift_ticks)
    start_ticks = round(start_price / float(instrument.tick_size))
    bars = _walk(instrument, ts_ns, drift.astype(np.float64), edge.noise_ticks, start_ticks, bar_in_session, random)
    return SyntheticBars(bars, side)


def synthetic_provenance(instrument: InstrumentSpec, bars: BarSeries, edge: PlantedEdge, seed: int) -> Provenance:
    """Provenance that names the bars as synthetic."""
    source = SourceFile(f"synthetic: seed {seed}, {edge.describe()}", bars.hash, len(bars))
    calendar = session_calendar(instrument.calendar)
    return Provenance(
        bar_type=bars.bar_type,
        sources=(source,),
        stamp="close",
        time_zone="",
        volume_known=True,
        assume_volume=0,
        filled_ns=(),
        quality=QualityReport(len(bars), len(bars), ()),
        rows=len(bars),
        calendar=instrument.calendar,
        calendar_hash=calendar.hash_between(int(bars.ts_ns[0]), int(bars.ts_ns[-1])),
    )


def _segment_sides(
    bar_in_session: NDArray[np.int64], edge: PlantedEdge, random: np.random.Generator
) -> NDArray[np.int64]:
    segment = np.cumsum(bar_in_session % edge.segment_bars == 0) - 1
    return random.choice(np.array([-1, 1]), segment[-1] + 1)[segment]


def _walk(
    instrument: InstrumentSpec,
    ts_ns: NDArray[np.int64],
    drift: NDArray[np.float64],
    noise_ticks: float,
    start_ticks: int,
    bar_in_session: NDArray[np.int64],
    random: np.random.Generator,
) -> BarSeries:
    # Trades inside the bar: a rounded walk whose end is the bar's move, so that highs and lows belong to it.
    steps = random.normal(0.0, noise_ticks / np.sqrt(TRADES_PER_BAR), (len(ts_ns), TRADES_PER_BAR))
    steps += (drift / TRADES_PER_BAR)[:, np.newaxis]
    trades = start_ticks + np.rint(np.cumsum(steps).reshape(steps.shape)).astype(np.int64)
    open_ = np.concatenate([[start_ticks], trades[:-1, -1]])
    high = np.maximum(trades.max(axis=1), open_)
    low = np.minimum(trades.min(axis=1), open_)
    # Volume: a U over the session, with noise.
    position = bar_in_session / bar_in_session.max()
    mean_volume = 400.0 + 1600.0 * (2.0 * position - 1.0) ** 2
    volume = 100 + random.poisson(mean_volume)
    return BarSeries(
        bar_type_of(instrument, "1-MINUTE"),
        ts_ns,
        open_,
        high,
        low,
        trades[:, -1].copy(),
        volume.astype(np.int64),
        True,
        instrument.tick_raw,
    )
