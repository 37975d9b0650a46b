"""The simulated venue of the BacktestNode and of the engine environment.

Netting, margin account, L1 book and the project's own commission: the configuration that the training simulator is
proven equal to. The engine's margin accounts refuse and liquidate nothing, so limits are left to the risk overlay.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.config import BacktestVenueConfig, FeeModelConfig, ImportableFeeModelConfig
from nautilus_trader.backtest.models import FeeModel
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Money

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.commission import fill_commission_cents, to_micros
from rl_strategies.backtest.fill_models import fill_model_config, slippage_module_configs
from rl_strategies.decision.rules import ExecutionConfig


class OrderCommissionConfig(FeeModelConfig, frozen=True):  # type: ignore[call-arg]
    """Commission of every instrument of a venue.

    Attributes
    ----------
    rates : dict of str to (str, str)
        Rate per unit and minimum per order by instrument, USD, as decimal text.
    """

    rates: dict[str, tuple[str, str]]


class OrderCommission(FeeModel):
    """`rl_strategies.accounting.commission` as the engine's fee model."""

    def __init__(self, config: OrderCommissionConfig) -> None:
        self._cents = {
            InstrumentId.from_str(name): (to_micros(Decimal(rate)), int(Decimal(minimum) * 100))
            for name, (rate, minimum) in config.rates.items()
        }

    def get_commission(self, order: Any, fill_qty: Any, fill_px: Any, instrument: Any) -> Money:
        """Commission of one fill of ``order``."""
        before = int(order.filled_qty)
        rate_micros, minimum_cents = self._cents[instrument.id]
        cents = fill_commission_cents(rate_micros, minimum_cents, before, int(fill_qty))
        return Money(Decimal(int(cents)) / 100, instrument.quote_currency)


def venue_configs(instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> list[BacktestVenueConfig]:
    """Venue configurations, one for every venue of the instruments, in order of first appearance.

    Raises
    ------
    InputError
        If ``slippage_probability`` draws and there are several venues: each would draw from its own stream.
    """
    by_venue: dict[str, list[InstrumentSpec]] = {}
    for instrument in instruments:
        by_venue.setdefault(InstrumentId.from_str(instrument.instrument_id).venue.value, []).append(instrument)
    if len(by_venue) > 1 and execution.ticks_on_every_fill and 0 < execution.slippage_probability < 1:
        raise InputError(
            f"slippage_probability must be 0 or 1 with several venues ({', '.join(by_venue)}), "
            f"was {execution.slippage_probability}"
        )
    return [_venue(name, traded, instruments, execution) for name, traded in by_venue.items()]


def _venue(
    name: str, traded: Sequence[InstrumentSpec], instruments: Sequence[InstrumentSpec], execution: ExecutionConfig
) -> BacktestVenueConfig:
    rates = {spec.instrument_id: (str(spec.commission_per_unit), str(spec.commission_minimum)) for spec in traded}
    return BacktestVenueConfig(
        name=name,
        oms_type="NETTING",
        account_type="MARGIN",
        base_currency="USD",
        starting_balances=[f"{execution.starting_balance_usd} USD"],
        bar_adaptive_high_low_ordering=execution.high_low_order == "adaptive",
        fill_model=fill_model_config(instruments, execution),
        modules=slippage_module_configs(execution),
        fee_model=ImportableFeeModelConfig(
            fee_model_path="rl_strategies.backtest.venue:OrderCommission",
            config_path="rl_strategies.backtest.venue:OrderCommissionConfig",
            config={"rates": rates},
        ),
    )
