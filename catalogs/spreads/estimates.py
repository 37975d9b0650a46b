"""Spreads by time of day: measured from quotes, or estimated from bars that have none.

Quotes are better. The estimators infer the spread from how highs, lows and closes bounce between bid and ask; in a bar
in which hardly anything trades they see little. Times of day with few observations get the estimate of the whole
session, and no spread is below one tick.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from catalogs.bars import BarSeries
from catalogs.errors import InputError
from catalogs.instruments.bar_types import bar_length_ns
from catalogs.sessions import SessionCalendar
from catalogs.spreads.table import BUCKET_MINUTES, SpreadRows

SpreadMethod = Literal["abdi-ranaldo", "corwin-schultz", "quotes"]
Floats = NDArray[np.float64]

FEWEST = 30  # observations of a time of day, for an estimate of its own
STALE_NS = 300_000_000_000  # a quote older than this says nothing about now
NS_PER_MINUTE = 60_000_000_000


class SpreadBucket(msgspec.Struct, frozen=True):
    """Spread of an instrument from a minute of its session on.

    Attributes
    ----------
    minute : int
        Minutes from the session's open.
    spread_ticks, spread_bps : float
        Ticks, at least one, and basis points of the price then.
    count : int
        Observations.
    of_session : bool
        Whether there were too few, so that this is the spread of the whole session.
    """

    minute: int
    spread_ticks: float
    spread_bps: float
    count: int
    of_session: bool


class Observations(NamedTuple):
    """n observations of one instrument.

    Attributes
    ----------
    minute : int64[n]
        Minutes from the session's open.
    terms : float64[n]
        What the spread is a function of.
    price : float64[n]
        Price in ticks.
    """

    minute: NDArray[np.int64]
    terms: Floats
    price: Floats


def spread_rows(buckets: list[SpreadBucket]) -> SpreadRows:
    """Rows of a `catalogs.spreads.table` table."""
    return [(bucket.minute, bucket.spread_ticks) for bucket in buckets]


def spreads_from_bars(
    bars: BarSeries, calendar: SessionCalendar, method: SpreadMethod, minutes: int
) -> list[SpreadBucket]:
    """Estimate the spread of bars for every ``minutes`` of the session.

    Parameters
    ----------
    bars : BarSeries
        Only neighbouring bars of one session are compared.
    calendar : SessionCalendar
    method : {"abdi-ranaldo", "corwin-schultz"}
        F. Abdi and A. Ranaldo, "A Simple Estimation of Bid-Ask Spreads from Daily Close, High, and Low Prices", Review
        of Financial Studies 30 (2017): ``sqrt(max(0, 4 E[(c - m)(c - m')]))`` with the log close ``c`` and the middle
        ``m`` of log high and log low, ``m'`` that of the next bar. S. A. Corwin and P. Schultz, "A Simple Way to
        Estimate Bid-Ask Spreads from Daily High and Low Prices", Journal of Finance 67 (2012), equations 14 and 18; a
        negative estimate of a pair of bars counts as zero.
    minutes : int
        A multiple of five.

    Raises
    ------
    InputError
        If there are fewer than thirty pairs of neighbouring bars.
    """
    session = calendar.locate(bars.ts_ns)
    length = bar_length_ns(bars.bar_type)
    follows = (session[1:] >= 0) & (session[1:] == session[:-1]) & (np.diff(bars.ts_ns) == length)
    one = np.flatnonzero(follows)
    prices = [column[one + step].astype(np.float64) for step in (0, 1) for column in (bars.high, bars.low)]
    close = bars.close[one].astype(np.float64)
    is_pairwise = method == "corwin-schultz"
    terms = _corwin_schultz(*prices) if is_pairwise else _abdi_ranaldo(close, *prices)
    combine = _mean_share if is_pairwise else _root_share
    minute = (bars.ts_ns[one] - calendar.open_ns[session[one]]) // NS_PER_MINUTE
    return spreads_by_time(Observations(minute, terms, close), combine, minutes, bars.bar_type)


def spreads_from_quotes(
    ts_ns: NDArray[np.int64], bid: Floats, ask: Floats, calendar: SessionCalendar, minutes: int, source: str
) -> list[SpreadBucket]:
    """Mean spread of the quotes that stand at every whole minute of the session, not older than five minutes.

    Parameters
    ----------
    ts_ns : int64[n]
        Ascending.
    bid, ask : float64[n]
        Ticks. Quotes without one of them, or crossed, are left out.
    calendar : SessionCalendar
    minutes : int
    source : str
        For errors.

    Raises
    ------
    InputError
        If fewer than thirty minutes have a quote.
    """
    sound = (bid > 0) & (ask > bid)
    ts_ns, bid, ask = ts_ns[sound], bid[sound], ask[sound]
    if len(ts_ns) == 0:
        raise InputError(f"{source}: no quote has a bid below its ask")
    whole = np.arange(ts_ns[0] // NS_PER_MINUTE + 1, ts_ns[-1] // NS_PER_MINUTE + 2) * NS_PER_MINUTE
    at = np.searchsorted(ts_ns, whole, side="right") - 1
    session = calendar.locate(whole)
    known = (session >= 0) & (whole < calendar.close_ns[session]) & (whole - ts_ns[at] <= STALE_NS)
    whole, at, session = whole[known], at[known], session[known]
    minute = (whole - calendar.open_ns[session]) // NS_PER_MINUTE
    seen = Observations(minute, ask[at] - bid[at], (ask[at] + bid[at]) / 2)
    return spreads_by_time(seen, _mean, minutes, source)


def spreads_by_time(
    seen: Observations,
    combine: Callable[[Floats, Floats], float],
    minutes: int,
    source: str,
    least_ticks: float = 1.0,
) -> list[SpreadBucket]:
    """Spread of every ``minutes`` of the session; the whole session's where there are fewer than thirty observations.

    Parameters
    ----------
    seen : Observations
    combine : callable
        Spread in ticks of the terms and prices of some observations.
    minutes : int
        A multiple of five.
    source : str
        For errors.
    least_ticks : float

    Raises
    ------
    InputError
        If there are fewer than thirty observations.
    """
    if minutes < BUCKET_MINUTES or minutes % BUCKET_MINUTES:
        raise InputError(f"minutes must be a multiple of {BUCKET_MINUTES}, was {minutes}")
    if len(seen.minute) < FEWEST:
        raise InputError(f"{source}: a spread needs {FEWEST} observations in sessions, had {len(seen.minute)}")
    whole = combine(seen.terms, seen.price)
    found = []
    for begin in range(0, int(seen.minute.max()) + 1, minutes):
        inside = (seen.minute >= begin) & (seen.minute < begin + minutes)
        count = int(inside.sum())
        own = count >= FEWEST
        ticks = max(least_ticks, combine(seen.terms[inside], seen.price[inside]) if own else whole)
        price = float((seen.price[inside] if count else seen.price).mean())
        found.append(SpreadBucket(begin, round(ticks, 3), round(ticks / price * 1e4, 3), count, not own))
    return found


def _corwin_schultz(high: Floats, low: Floats, next_high: Floats, next_low: Floats) -> Floats:
    beta = np.log(high / low) ** 2 + np.log(next_high / next_low) ** 2
    gamma = np.log(np.maximum(high, next_high) / np.minimum(low, next_low)) ** 2
    root = 3 - 2 * np.sqrt(2)
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / root - np.sqrt(gamma / root)
    return np.maximum(0.0, 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)))


def _abdi_ranaldo(close: Floats, high: Floats, low: Floats, next_high: Floats, next_low: Floats) -> Floats:
    middle, next_middle = np.log(high * low) / 2, np.log(next_high * next_low) / 2
    return 4 * (np.log(close) - middle) * (np.log(close) - next_middle)


def _mean(spreads: Floats, price: Floats) -> float:
    return float(spreads.mean())


def _mean_share(shares: Floats, price: Floats) -> float:
    return float((shares * price).mean())


def _root_share(products: Floats, price: Floats) -> float:
    return float(np.sqrt(max(0.0, products.mean())) * price.mean())
