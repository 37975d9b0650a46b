"""What trading costs and who pushes: from quotes where there are any, otherwise estimated from bars.

Order flow is read from bars by bulk volume classification, the way that needs no ticks: the share of a bar's volume
that bought is Φ(price change / its standard deviation).
"""

import math

from rl_strategies.features.families.regime import log_range, return_covariance
from rl_strategies.features.families.technical import log_return
from rl_strategies.features.kernel import Part, Window, feature
from rl_strategies.features.primitives import State

SQRT_2 = math.sqrt(2.0)
SPREAD_BASE = 3.0 - 2.0 * SQRT_2
TEN_THOUSAND = 10_000.0
MILLION = 1_000_000.0


@feature()
def quoted_spread(s: State, bid: float, ask: float) -> float:
    """Quoted spread at the bar's close, in basis points of the middle.

    ``(ask - bid) / ((ask + bid) / 2) * 10,000``; warm-up 1 row. NaN for a one-sided book.
    """
    return (ask - bid) / (0.5 * (ask + bid)) * TEN_THOUSAND if bid > 0.0 and ask > 0.0 else math.nan


@feature()
def effective_spread_now(s: State, close: float, bid: float, ask: float) -> float:
    """Effective spread of the bar's last trade, in basis points of the middle.

    ``2 |close - middle| / middle * 10,000``; warm-up 1 row. NaN for a one-sided book.
    """
    if bid <= 0.0 or ask <= 0.0:
        return math.nan
    middle = 0.5 * (bid + ask)
    return 2.0 * abs(close - middle) / middle * TEN_THOUSAND


@feature(parts={"now": Part(effective_spread_now), "average": Window("mean", "now", "n")})
def effective_spread(s: State, average: float, n: int = 30) -> float:
    """Effective spread, in basis points of the middle.

    Mean of `effective_spread_now` over ``n`` bars, the close standing for the last trade. Warm-up n rows. NaN for a
    one-sided book. Roll (1984), Huang and Stoll (1996).
    """
    return average


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


@feature(
    parts={
        "one": Part(log_range),
        "two": Window("lag", "one", 1),
        "high_before": Window("lag", "high", 1),
        "low_before": Window("lag", "low", 1),
    }
)
def spread_of_pair(
    s: State, high: float, low: float, one: float, two: float, high_before: float, low_before: float
) -> float:
    """Corwin-Schultz estimate of the spread from two bars, in basis points.

    β is the sum of their squared log ranges and γ the squared log range of both together;
    ``α = (√(2β) - √β) / (3 - 2√2) - √(γ / (3 - 2√2))`` and the spread is ``2 (e^α - 1) / (1 + e^α)``, negative ones
    counting as 0. Warm-up 2 rows; NaN unless prices are positive. Corwin and Schultz (2012), without the overnight
    adjustment.
    """
    if low_before <= 0.0:
        return math.nan
    both = math.log(max(high, high_before) / min(low, low_before))
    beta = one * one + two * two
    alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / SPREAD_BASE - math.sqrt(both * both / SPREAD_BASE)
    grown = math.exp(alpha)
    return max(0.0, 2.0 * (grown - 1.0) / (1.0 + grown)) * TEN_THOUSAND


@feature(parts={"pair": Part(spread_of_pair), "average": Window("mean", "pair", "n")})
def corwin_schultz(s: State, average: float, n: int = 30) -> float:
    """Corwin-Schultz estimate of the spread from highs and lows, in basis points.

    Mean of `spread_of_pair` over ``n`` pairs of successive bars; warm-up n + 1 rows.
    """
    return average


@feature(parts={"covariance": Part(return_covariance, {"n": "n"})})
def roll_spread(s: State, covariance: float, n: int = 60) -> float:
    """Roll's estimate of the spread from the bounce of closes, in basis points.

    ``2 √(-covariance of successive log returns) * 10,000`` over ``n`` returns; 0 where the covariance is not negative.
    Warm-up n + 1 rows. Roll (1984).
    """
    return 2.0 * math.sqrt(-covariance / (n - 1)) * TEN_THOUSAND if covariance < 0.0 else 0.0


@feature(parts={"change": Part(log_return, {"n": 1})})
def price_impact(s: State, close: float, volume: float, change: float) -> float:
    """Price impact of a million traded, in basis points.

    ``|log return| / (close * volume) * 10^10``; 0 for a bar without volume. Warm-up 2 rows.
    """
    return abs(change) * TEN_THOUSAND / (close * volume / MILLION) if volume > 0.0 else 0.0


@feature(parts={"impact": Part(price_impact), "average": Window("mean", "impact", "n")})
def amihud(s: State, average: float, n: int = 60) -> float:
    """Amihud illiquidity: log of the price impact of a million traded.

    ``ln(1 + mean of price_impact)`` over ``n`` bars. Warm-up n + 1 rows. Amihud (2002).
    """
    return math.log1p(average)


@feature(parts={"before": Window("lag", "close", 1)})
def squared_change(s: State, close: float, before: float) -> float:
    """Square of the price change, in price units squared.

    Warm-up 2 rows.
    """
    return (close - before) * (close - before)


@feature(
    parts={
        "before": Window("lag", "close", 1),
        "square": Part(squared_change),
        "squares": Window("mean", "square", "n"),
    }
)
def bulk_share(s: State, close: float, before: float, squares: float, n: int = 60) -> float:
    """Bulk volume classification: net share of the bar's volume that bought, -1 (all sold) to 1 (all bought).

    ``2 Φ(change / σ) - 1``, σ the root mean square of the last ``n`` price changes; 0 without movement. Warm-up n + 1
    rows. Easley, López de Prado and O'Hara (2012).
    """
    usual = math.sqrt(squares)
    return math.erf((close - before) / usual / SQRT_2) if usual > 1e-9 * abs(close) else 0.0


@feature(parts={"share": Part(bulk_share, {"n": "n"})}, outputs=("net", "gross"))
def bulk_volume(s: State, share: float, volume: float, n: int = 60) -> tuple[float, float]:
    """Volume bought less volume sold by bulk classification, and its size, in units traded.

    `bulk_share` times volume; warm-up n + 1 rows.
    """
    return share * volume, abs(share) * volume


@feature(
    parts={
        "share": Part(bulk_share, {"n": "deviation"}),
        "flow": Part(bulk_volume, {"n": "deviation"}),
        "net": Window("total", "flow_net", "n"),
        "gross": Window("total", "flow_gross", "n"),
        "traded": Window("total", "volume", "n"),
    },
    outputs=("share", "imbalance", "toxicity"),
)
def order_flow(
    s: State, share: float, net: float, gross: float, traded: float, n: int = 30, deviation: int = 60
) -> tuple[float, float, float]:
    """Signed volume by bulk classification, -1 (all sold) to 1 (all bought).

    ``share`` is the bar's `bulk_share`. ``imbalance`` is Σ share * volume / Σ volume over ``n`` bars; ``toxicity``
    takes the absolute value of each product (as VPIN does, in time bars). 0 without volume or movement. Warm-up
    deviation + n rows. Easley, López de Prado and O'Hara (2012).
    """
    return share, net / traded if traded > 0.0 else 0.0, gross / traded if traded > 0.0 else 0.0
