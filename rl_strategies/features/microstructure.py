"""What trading costs and who pushes: from quotes where there are any, otherwise estimated from bars.

Order flow is read from bars by bulk volume classification, the way that needs no ticks: the share of a bar's volume
that bought is Φ(price change / its standard deviation).
"""

import math

from rl_strategies.features.kernel import Params, feature
from rl_strategies.features.primitives import (
    State,
    exact_push,
    exact_size,
    log_ratio,
    ring_mean,
    ring_push,
    ring_size,
    ring_succession,
    total_push,
    total_size,
)

SQRT_2 = math.sqrt(2.0)
SPREAD_BASE = 3.0 - 2.0 * SQRT_2
TEN_THOUSAND = 10_000.0
MILLION = 1_000_000.0


def _window_and_one(p: Params) -> int:
    return int(p["n"]) + 1


@feature()
def quoted_spread(s: State, bid: float, ask: float) -> float:
    """Quoted spread at the bar's close, in basis points of the middle.

    ``(ask - bid) / ((ask + bid) / 2) * 10,000``; warm-up 1 row. NaN for a one-sided book.
    """
    return (ask - bid) / (0.5 * (ask + bid)) * TEN_THOUSAND if bid > 0.0 and ask > 0.0 else math.nan


@feature(state=lambda p: ring_size(p["n"]), warmup=lambda p: p["n"])
def effective_spread(s: State, close: float, bid: float, ask: float, n: int = 30) -> float:
    """Effective spread, in basis points of the middle.

    Mean over ``n`` bars of ``2 |close - middle| / middle * 10,000``, the close standing for the last trade. Warm-up n
    rows. NaN for a one-sided book. Roll (1984), Huang and Stoll (1996).
    """
    if bid <= 0.0 or ask <= 0.0:
        return math.nan
    middle = 0.5 * (bid + ask)
    full = ring_push(s, n, 2.0 * abs(close - middle) / middle * TEN_THOUSAND)
    return ring_mean(s, n) if full else math.nan


@feature()
def book_imbalance(s: State, bid_size: float, ask_size: float) -> float:
    """Order-book imbalance at the best quotes, -1 (all offered) to 1 (all bid).

    ``(bid size - ask size) / (bid size + ask size)``; 0 for an empty book. Warm-up 1 row.
    """
    return (bid_size - ask_size) / (bid_size + ask_size) if bid_size + ask_size > 0.0 else 0.0


@feature()
def microprice_distance(s: State, bid: float, ask: float, bid_size: float, ask_size: float) -> float:
    """Microprice against the middle, in basis points.

    The microprice weights each quote by the size of the other side: ``(bid * ask size + ask * bid size) / both sizes``.
    0 for an empty book; warm-up 1 row. Stoikov (2018), first-order form.
    """
    middle = 0.5 * (bid + ask)
    if bid_size + ask_size <= 0.0 or middle <= 0.0:
        return 0.0
    micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    return (micro - middle) / middle * TEN_THOUSAND


@feature(state=lambda p: 3 + ring_size(p["n"]), warmup=_window_and_one)
def corwin_schultz(s: State, high: float, low: float, n: int = 30) -> float:
    """Corwin-Schultz estimate of the spread from highs and lows, in basis points.

    Over each pair of bars β is the sum of the squared log ranges and γ the squared log range of both together;
    ``α = (√(2β) - √β) / (3 - 2√2) - √(γ / (3 - 2√2))`` and the spread is ``2 (e^α - 1) / (1 + e^α)``, negative ones
    counting as 0. Mean over ``n`` pairs; warm-up n + 1 rows. Corwin and Schultz (2012), without the overnight
    adjustment.
    """
    high_before, low_before, two = s[0], s[1], s[2]
    if low <= 0.0:
        return math.nan
    one = math.log(high / low)
    s[0], s[1], s[2] = high, low, one
    if low_before == 0.0:
        return math.nan
    both = math.log(max(high, high_before) / min(low, low_before))
    beta = one * one + two * two
    alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / SPREAD_BASE - math.sqrt(both * both / SPREAD_BASE)
    grown = math.exp(alpha)
    full = ring_push(s[3:], n, max(0.0, 2.0 * (grown - 1.0) / (1.0 + grown)) * TEN_THOUSAND)
    return ring_mean(s[3:], n) if full else math.nan


@feature(state=lambda p: 1 + ring_size(p["n"]), warmup=_window_and_one)
def roll_spread(s: State, close: float, n: int = 60) -> float:
    """Roll's estimate of the spread from the bounce of closes, in basis points.

    ``2 √(-covariance of successive log returns) * 10,000`` over ``n`` returns; 0 where the covariance is not negative.
    Warm-up n + 1 rows. Roll (1984).
    """
    change = log_ratio(close, s[0])
    s[0] = close
    if math.isnan(change) or not ring_push(s[1:], n, change):
        return math.nan
    covariance = ring_succession(s[1:], n, ring_mean(s[1:], n)) / (n - 1) if n > 1 else 0.0
    return 2.0 * math.sqrt(-covariance) * TEN_THOUSAND if covariance < 0.0 else 0.0


@feature(state=lambda p: 1 + exact_size(p["n"]), warmup=_window_and_one)
def amihud(s: State, close: float, volume: float, n: int = 60) -> float:
    """Amihud illiquidity: log of the price impact of a million traded.

    ``ln(1 + mean of |log return| / (close * volume) * 10^10)`` over ``n`` bars, which is basis points a million; a bar
    without volume counts 0. Warm-up n + 1 rows. Amihud (2002).
    """
    change = log_ratio(close, s[0])
    s[0] = close
    if math.isnan(change):
        return math.nan
    impact = abs(change) * TEN_THOUSAND / (close * volume / MILLION) if volume > 0.0 else 0.0
    total = exact_push(s[1:], n, impact)
    return math.log1p(total / n) if s[1] >= n else math.nan


@feature(
    outputs=("share", "imbalance", "toxicity"),
    state=lambda p: 1 + exact_size(p["deviation"]) + 2 * exact_size(p["n"]) + total_size(p["n"]),
    warmup=lambda p: p["deviation"] + p["n"],
)
def order_flow(s: State, close: float, volume: float, n: int = 30, deviation: int = 60) -> tuple[float, float, float]:
    """Signed volume by bulk classification, -1 (all sold) to 1 (all bought).

    A bar's ``share`` is ``2 Φ(change / σ) - 1``, σ the standard deviation of the last ``deviation`` price changes.
    ``imbalance`` is Σ share * volume / Σ volume over ``n`` bars; ``toxicity`` takes the absolute value of each product
    (as VPIN does, in time bars). 0 without volume or movement. Warm-up deviation + n rows. Easley, López de Prado and
    O'Hara (2012).
    """
    first, second = deviation + 5, deviation + n + 9
    changes, signed, unsigned, volumes = s[1:first], s[first:second], s[second : second + n + 4], s[second + n + 4 :]
    before, s[0] = s[0], close
    if before == 0.0:
        return math.nan, math.nan, math.nan
    squares = exact_push(changes, deviation, (close - before) * (close - before))
    if changes[0] < deviation:
        return math.nan, math.nan, math.nan
    spread = math.sqrt(squares / deviation)
    share = math.erf((close - before) / spread / SQRT_2) if spread > 1e-9 * abs(close) else 0.0
    net = exact_push(signed, n, share * volume)
    gross = exact_push(unsigned, n, abs(share) * volume)
    total = total_push(volumes, n, volume)
    if volumes[0] < n:
        return share, math.nan, math.nan
    if total <= 0.0:
        return share, 0.0, 0.0
    return share, net / total, gross / total
