"""Prices that a future cannot be stored with: at or below zero, or in thirty-seconds taken for decimals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec

MOST_OFF_TICK = 0.05  # share of a future's bars; real feeds have none
_PER_TICK = 1e-6


def check_prices(spec: InstrumentSpec, ts_ns: NDArray[np.int64], prices: Mapping[str, NDArray[np.float64]]) -> None:
    """Refuse bars whose prices have no meaning here; nothing for shares.

    Parameters
    ----------
    spec : InstrumentSpec
    ts_ns : int64[n]
        Times, for the message, UTC nanoseconds.
    prices : mapping of str to float64[n]
        By column; NaN where missing.

    Raises
    ------
    InputError
        If energy or metals have a price at or below zero (crude oil on 2020-04-20): returns and leverage are undefined
        there. If interest rates, quoted in fractions of a point, are mostly off the tick: 109.16 may mean 109 16/32.
    """
    if spec.calendar == "CMEGlobex_EnergyAndMetals":
        _refuse_below_zero(spec, ts_ns, np.stack(list(prices.values())))
    if spec.calendar == "CME Globex Interest Rate Products":
        _refuse_thirty_seconds(spec, np.stack(list(prices.values())))


def _refuse_below_zero(spec: InstrumentSpec, ts_ns: NDArray[np.int64], prices: NDArray[np.float64]) -> None:
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero((prices <= 0).any(axis=0))
    if len(rows):
        first = np.datetime64(int(ts_ns[rows].min()), "ns").astype("datetime64[m]")
        raise InputError(
            f"{spec.instrument_id} has {len(rows)} bars with prices at or below zero, the first at {first} UTC: "
            "returns and leverage have no meaning there; import the days before"
        )


def _refuse_thirty_seconds(spec: InstrumentSpec, prices: NDArray[np.float64]) -> None:
    ticks = prices[:, np.isfinite(prices).all(axis=0)] / float(spec.tick_size)
    off = (np.abs(ticks - np.rint(ticks)) > _PER_TICK).any(axis=0)
    if off.size and off.mean() > MOST_OFF_TICK:
        raise InputError(
            f"{off.mean():.0%} of the bars of {spec.instrument_id} have prices off its tick of {spec.tick_size}: "
            "prices must be decimals (109.5 for 109 16/32), neither thirty-seconds (109.16) nor adjusted"
        )
