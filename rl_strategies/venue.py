"""The simulated venue that both the BacktestNode and the engine environment trade on.

Netting, margin account, L1 book, the project's own commission: the configuration for which the training simulator is
proven equal. Margin accounts of the engine deny and liquidate nothing, so limits are the risk overlay's.
"""

from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.config import (
    BacktestVenueConfig,
    FeeModelConfig,
    ImportableFeeModelConfig,
    ImportableFillModelConfig,
)
from nautilus_trader.backtest.models import FeeModel
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Money

from catalogs.instruments import InstrumentSpec
from rl_strategies.commission import fill_commission_cents, to_micros
from rl_strategies.rules import ExecutionConfig


class OrderCommissionConfig(FeeModelConfig, frozen=True):  # type: ignore[call-arg]
    """Rate per unit and minimum per order, USD, as decimal text.

    Attributes
    ----------
    per_unit, minimum : str
    """

    per_unit: str
    minimum: str


class OrderCommission(FeeModel):
    """`rl_strategies.commission` as the engine's fee model."""

    def __init__(self, config: OrderCommissionConfig) -> None:
        self._rate_micros = to_micros(Decimal(config.per_unit))
        self._minimum_cents = int(Decimal(config.minimum) * 100)

    def get_commission(self, order: Any, fill_qty: Any, fill_px: Any, instrument: Any) -> Money:
        """Commission of one fill of ``order``."""
        before = int(order.filled_qty)
        cents = fill_commission_cents(self._rate_micros, self._minimum_cents, before, int(fill_qty))
        return Money(Decimal(int(cents)) / 100, instrument.quote_currency)


def venue_config(instrument: InstrumentSpec, execution: ExecutionConfig) -> BacktestVenueConfig:
    """Venue of ``instrument`` for a ``BacktestRunConfig``."""
    return BacktestVenueConfig(
        name=InstrumentId.from_str(instrument.instrument_id).venue.value,
        oms_type="NETTING",
        account_type="MARGIN",
        base_currency="USD",
        starting_balances=[f"{execution.starting_balance_usd} USD"],
        bar_adaptive_high_low_ordering=execution.high_low_order == "adaptive",
        fill_model=ImportableFillModelConfig(
            fill_model_path="nautilus_trader.backtest.models:FillModel",
            config_path="nautilus_trader.backtest.config:FillModelConfig",
            config={
                "prob_fill_on_limit": 1.0,
                "prob_slippage": float(execution.slippage_ticks),
                "random_seed": 1,
            },
        ),
        fee_model=ImportableFeeModelConfig(
            fee_model_path="rl_strategies.venue:OrderCommission",
            config_path="rl_strategies.venue:OrderCommissionConfig",
            config={
                "per_unit": str(instrument.commission_per_unit),
                "minimum": str(instrument.commission_minimum),
            },
        ),
    )
