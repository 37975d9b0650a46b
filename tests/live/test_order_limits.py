"""What NautilusTrader's risk engine makes of the limits."""

from decimal import Decimal

import pandas as pd
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.engine import RiskEngine

from configs.live.supervision import OrderLimits
from run.trade.order_limits import risk_engine_config


def engine_with(limits: OrderLimits) -> RiskEngine:
    clock = TestClock()
    bus, cache = MessageBus(TraderId("RL-001"), clock), Cache()
    config = risk_engine_config(limits, ["MESZ6.XCME"])
    return RiskEngine(Portfolio(bus, cache, clock), bus, cache, clock, config)


def test_the_engine_takes_rate_and_notional() -> None:
    engine = engine_with(OrderLimits(max_per_minute=20, max_notional_usd=120_000))
    assert engine.max_order_submit_rate() == engine.max_order_modify_rate() == (20, pd.Timedelta(minutes=1))
    assert engine.max_notional_per_order(InstrumentId.from_str("MESZ6.XCME")) == Decimal(120_000)


def test_zero_is_no_limit_of_the_notional() -> None:
    assert engine_with(OrderLimits()).max_notionals_per_order() == {}
