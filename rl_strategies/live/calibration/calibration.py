"""Measures slippage, latency, fill rate and commission of live fills, and the execution settings that match them.

Slippage is counted in adverse ticks of an order's average price: against the close that was decided on for market
orders, against the trigger for stops, against the limit for take profits, where it is zero or a gain. The simulation
slips market orders and stops; their mean is drawn in whole ticks, so that both cost the same.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from catalogs.errors import InputError
from rl_strategies.analysis.mean_interval import mean_interval
from rl_strategies.decision.slippage import SlippageConfig
from rl_strategies.live.calibration.execution_log import BarPath, ExecutedOrder, ExecutionLog

MIN_ORDERS = 30
SLIPPING = ("market", "stop")
LEVEL = 0.95
NS_PER_MS = 1_000_000


class Distribution(msgspec.Struct, frozen=True):
    """Statistics of a sample.

    Attributes
    ----------
    count : int
    mean : float
    low, high : float or None
        95 % interval of the mean, by Student's t; None below ten values.
    p05, p50, p95 : float
    """

    count: int
    mean: float
    low: float | None
    high: float | None
    p05: float
    p50: float
    p95: float


class Slippage(msgspec.Struct, frozen=True):
    """Slippage of the filled orders of one kind.

    Attributes
    ----------
    ticks : Distribution
        Adverse ticks; negative where the fill was better than the reference price.
    slipped : float
        Share of orders with adverse slippage.
    """

    ticks: Distribution
    slipped: float


class TouchRate(msgspec.Struct, frozen=True):
    """Fill rate of the limit orders whose price was reached.

    Attributes
    ----------
    touched, filled : int
    low, high : float
        95 % interval of the rate, by Wilson's score.
    """

    touched: int
    filled: int
    low: float
    high: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Costs measured in live sessions.

    Attributes
    ----------
    orders : int
        Number of filled orders whose slippage is known.
    slippage : dict of str to Slippage
        Slippage by kind of order, and of ``"all"``.
    latency_ms : dict of str to Distribution
        ``decision_to_fill``: from the close that was decided on to the first fill by the broker's clock, of market
        orders; ``sent_to_accepted``; ``bar_to_wire``. A latency that was never journaled is missing.
    take_profits : TouchRate or None
        None if no limit price was reached.
    commission_usd_per_unit : dict of str to float
        Commission by instrument.
    left_out : dict of str to int
        Number of fills or orders that could not be used, by reason.
    setting : SlippageConfig
        For `rl_strategies.decision.rules.ExecutionConfig`: the mean of market orders and stops.
    warnings : tuple of str
    """

    orders: int
    slippage: dict[str, Slippage]
    latency_ms: dict[str, Distribution]
    take_profits: TouchRate | None
    commission_usd_per_unit: dict[str, float]
    left_out: dict[str, int]
    setting: SlippageConfig
    warnings: tuple[str, ...]


def calibrate(logs: Sequence[ExecutionLog]) -> Calibration:
    """Measure the execution of sessions.

    Parameters
    ----------
    logs : sequence of ExecutionLog
        Logs in order of time.

    Raises
    ------
    InputError
        If fewer than thirty orders were filled, or no market order and no stop: too few for a measurement.
    """
    filled = [(log, order) for log in logs for order in log.orders if order.fills]
    slipped = [(order.row.kind, slippage_ticks(order, log.bars)) for log, order in filled]
    known = [(kind, ticks) for kind, ticks in slipped if ticks is not None]
    if len(known) < MIN_ORDERS:
        raise InputError(f"calibration needs {MIN_ORDERS} filled orders, the sessions have {len(known)}")
    samples: dict[str, list[float]] = {}
    for kind, ticks in sorted(known, key=lambda each: each[0]):
        samples.setdefault(kind, []).append(ticks)
    paid = [ticks for kind, ticks in known if kind in SLIPPING]
    if not paid:
        raise InputError("calibration needs filled market orders or stops, the sessions have none")
    left_out = {
        "executions of orders that the session did not send": sum(log.foreign_fills for log in logs),
        "orders without the bar they were decided on": len(slipped) - len(known),
    }
    return Calibration(
        orders=len(known),
        slippage={
            **{kind: _slippage(sample) for kind, sample in samples.items()},
            "all": _slippage([ticks for _, ticks in known]),
        },
        latency_ms=_latencies(logs),
        take_profits=take_profit_rate(logs),
        commission_usd_per_unit=_commissions([order for _, order in filled]),
        left_out={reason: count for reason, count in left_out.items() if count},
        setting=SlippageConfig(ticks=round(max(0.0, float(np.mean(paid))), 4), rounding="drawn"),
        warnings=(),
    )


def slippage_ticks(order: ExecutedOrder, bars: Mapping[str, BarPath]) -> float | None:
    """Adverse ticks of a filled order's average price; None if the bar that it was decided on is missing."""
    row = order.row
    path = bars.get(row.instrument_id)
    at_decision = path.close_at(row.decision_ns) if path is not None else None
    reference = at_decision if row.kind == "market" else float(row.trigger_ticks)
    if reference is None:
        return None
    units = sum(abs(fill.units) for fill in order.fills)
    average = sum(abs(fill.units) * fill.price_ticks for fill in order.fills) / units
    return row.side * (average - reference)


def take_profit_rate(logs: Sequence[ExecutionLog]) -> TouchRate | None:
    """Share of the limit orders that were filled among those whose price was reached; None if there were none.

    An order counts from the first bar after it was sent to the last before its position was closed: within the bar of
    the close the order of events is not known.
    """
    limits = [(log, order) for log in logs for order in log.orders if order.row.kind == "limit"]
    touched = [order for log, order in limits if order.fills or _is_touched(order, log.bars)]
    if not touched:
        return None
    filled = sum(bool(order.fills) for order in touched)
    return TouchRate(len(touched), filled, *wilson_interval(filled, len(touched)))


def wilson_interval(successes: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a share by Wilson's score, which also holds for small samples and extreme shares.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.

    Examples
    --------
    >>> low, high = wilson_interval(8, 10)
    >>> f"{low:.4f} {high:.4f}"
    '0.4902 0.9433'
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, spread = successes / count, z * z / count
    centre = share + spread / 2
    reach = z * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, (centre - reach) / (1 + spread)), min(1.0, (centre + reach) / (1 + spread))


def _is_touched(order: ExecutedOrder, bars: Mapping[str, BarPath]) -> bool:
    row = order.row
    path = bars.get(row.instrument_id)
    if path is None:
        return False
    alive = path.seq > order.sent_seq
    if order.over_seq is not None:
        alive &= path.seq < order.over_seq
    reached = path.low <= row.trigger_ticks if row.side > 0 else path.high >= row.trigger_ticks
    return bool(np.any(alive & reached))


def _slippage(ticks: Sequence[float]) -> Slippage:
    return Slippage(_distribution(ticks), sum(value > 0 for value in ticks) / len(ticks))


def _latencies(logs: Sequence[ExecutionLog]) -> dict[str, Distribution]:
    orders = [order for log in logs for order in log.orders]
    samples = {
        "decision_to_fill": [
            order.fills[0].ts_ns - order.row.decision_ns
            for order in orders
            if order.fills and order.row.kind == "market"
        ],
        "sent_to_accepted": [
            order.accepted_ns - order.row.sent_ns for order in orders if order.accepted_ns is not None
        ],
        "bar_to_wire": [latency_ns for log in logs for latency_ns in log.wire_latency_ns],
    }
    return {name: _distribution([ns / NS_PER_MS for ns in sample]) for name, sample in samples.items() if sample}


def _commissions(orders: Sequence[ExecutedOrder]) -> dict[str, float]:
    cents: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for order in orders:
        cents[order.row.instrument_id] += sum(fill.commission_cents for fill in order.fills)
        units[order.row.instrument_id] += sum(abs(fill.units) for fill in order.fills)
    return {instrument: round(cents[instrument] / units[instrument] / 100, 6) for instrument in sorted(units)}


def _distribution(values: Sequence[float]) -> Distribution:
    sample = np.asarray(values, np.float64)
    interval = mean_interval(sample)
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    p05, p50, p95 = (float(quantile) for quantile in np.quantile(sample, [0.05, 0.5, 0.95]))
    return Distribution(len(sample), float(sample.mean()), low, high, p05, p50, p95)
