"""What higher costs would have left of a result: the same trades, each market order and stop filled worse.

A first answer: with other fills barriers would have lain elsewhere and limits stepped in at other times, which only a
new backtest shows.
"""

import math

import msgspec

from rl_strategies.accounting.record import RunRecord
from rl_strategies.analysis.trades import fill_cost

SLIPPING = ("market", "stop")


class CostSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """Net PnL under higher slippage on market orders and stops; limits keep their price.

    Attributes
    ----------
    one_more_tick_usd : float
        Cost of one more tick on each of those fills, USD.
    one_more_bps_usd : float
        Cost of one more basis point of each fill's price, not rounded to ticks, USD.
    slippage_again_usd : float
        Spread, slippage and impact that those fills have paid: the cost of paying them a second time, USD.
    pnl_one_more_tick_usd, pnl_one_more_bps_usd, pnl_slippage_again_usd : float
        Net PnL less each of these.
    break_even_ticks, break_even_bps : float or None
        How much more slippage would have left nothing of a gain; None if there is no gain or no such fill.
    """

    one_more_tick_usd: float
    one_more_bps_usd: float
    slippage_again_usd: float
    pnl_one_more_tick_usd: float
    pnl_one_more_bps_usd: float
    pnl_slippage_again_usd: float
    break_even_ticks: float | None
    break_even_bps: float | None


def cost_sensitivity(record: RunRecord, net_pnl_usd: float) -> CostSensitivity:
    """What higher slippage would have left of a run's net PnL.

    Parameters
    ----------
    record : RunRecord
    net_pnl_usd : float
    """
    fills = [(leg, fill) for leg in record.legs for fill in leg.fills if fill.kind in SLIPPING]
    tick = math.fsum(abs(fill.units) * float(leg.instrument.tick_value_usd) for leg, fill in fills)
    bps = math.fsum(
        abs(fill.units) * abs(fill.price_ticks) * float(leg.instrument.tick_value_usd) / 10_000 for leg, fill in fills
    )
    paid = [fill_cost(leg, fill) for leg, fill in fills]
    again = math.fsum(cost.spread + cost.slippage + cost.impact for cost in paid)
    return CostSensitivity(
        one_more_tick_usd=tick,
        one_more_bps_usd=bps,
        slippage_again_usd=again,
        pnl_one_more_tick_usd=net_pnl_usd - tick,
        pnl_one_more_bps_usd=net_pnl_usd - bps,
        pnl_slippage_again_usd=net_pnl_usd - again,
        break_even_ticks=net_pnl_usd / tick if tick and net_pnl_usd > 0 else None,
        break_even_bps=net_pnl_usd / bps if bps and net_pnl_usd > 0 else None,
    )
