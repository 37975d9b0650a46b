"""Limits of NautilusTrader's own risk engine, the last check before an order leaves the node."""

from collections.abc import Sequence

from nautilus_trader.live.config import LiveRiskEngineConfig

from configs.live.supervision import OrderLimits


def risk_engine_config(limits: OrderLimits, instrument_ids: Sequence[str]) -> LiveRiskEngineConfig:
    """Configuration of the node's risk engine.

    NautilusTrader prices a market order by the last quote or trade. If it has only seen bars, the order passes with a
    warning; the risk monitor therefore limits leverage and gross exposure too.

    Parameters
    ----------
    limits : OrderLimits
    instrument_ids : sequence of str
        Instruments that the node trades.

    Examples
    --------
    >>> risk_engine_config(OrderLimits(max_per_minute=30), ["MESZ6.XCME"]).max_order_submit_rate
    '30/00:01:00'
    """
    rate = f"{limits.max_per_minute}/00:01:00"
    notional = dict.fromkeys(instrument_ids, limits.max_notional_usd) if limits.max_notional_usd else {}
    return LiveRiskEngineConfig(max_order_submit_rate=rate, max_order_modify_rate=rate, max_notional_per_order=notional)
