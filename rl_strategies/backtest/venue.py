"""The simulated venue of the BacktestNode and of the engine environment.

Netting, margin account, L1 book and the project's own commission: the configuration that the training simulator is
proven equal to. The engine's margin accounts refuse and liquidate nothing, so limits are left to the risk overlay.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.config import (
    BacktestVenueConfig,
    FeeModelConfig,
    FillModelConfig,
    ImportableFeeModelConfig,
    ImportableFillModelConfig,
)
from nautilus_trader.backtest.models import FeeModel, FillModel
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Money

from catalogs.errors import InputError
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.commission import fill_commission_cents, to_micros
from rl_strategies.backtest.slippage import slippage_stream
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


class StreamFillModelConfig(FillModelConfig, frozen=True):  # type: ignore[call-arg]
    """Slippage of a `StreamFillModel`, as in `ExecutionConfig`.

    Attributes
    ----------
    slippage_ticks : int
    slippage_probability : float
    slippage_seed : int
    """

    slippage_ticks: int = 0
    slippage_probability: float = 1.0
    slippage_seed: int = 0


class StreamFillModel(FillModel):
    """The engine's fill model with the shared random stream: limits fill when touched, fills slip as drawn.

    Attributes
    ----------
    draws : int
        Position of the next draw in the stream.
    """

    def __init__(self, config: StreamFillModelConfig) -> None:
        super().__init__(prob_fill_on_limit=1.0, prob_slippage=0.0, random_seed=0)
        execution = ExecutionConfig(
            slippage_ticks=config.slippage_ticks,  # type: ignore[arg-type]
            slippage_probability=config.slippage_probability,
            slippage_seed=config.slippage_seed,
        )
        self._ticks = config.slippage_ticks
        self._stream = slippage_stream(execution)
        self.draws = 0

    def is_slipped(self) -> bool:
        """Whether the next fill slips a tick."""
        if self._ticks == 0 or len(self._stream) == 1:
            return bool(self._ticks)
        drawn = bool(self._stream[self.draws % len(self._stream)])
        self.draws += 1
        return drawn


def stream_fill_model(execution: ExecutionConfig) -> StreamFillModel:
    """The fill model of `venue_configs`, as an object."""
    return StreamFillModel(StreamFillModelConfig(**_stream(execution)))


def _stream(execution: ExecutionConfig) -> dict[str, Any]:
    return {
        "slippage_ticks": execution.slippage_ticks,
        "slippage_probability": execution.slippage_probability,
        "slippage_seed": execution.slippage_seed,
    }


def venue_configs(instruments: Sequence[InstrumentSpec], execution: ExecutionConfig) -> list[BacktestVenueConfig]:
    """Venue configurations, one for every venue of the instruments, in order of first appearance.

    Raises
    ------
    InputError
        If slippage is random and there are several venues: each would draw from its own stream.
    """
    by_venue: dict[str, list[InstrumentSpec]] = {}
    for instrument in instruments:
        by_venue.setdefault(InstrumentId.from_str(instrument.instrument_id).venue.value, []).append(instrument)
    if len(by_venue) > 1 and len(slippage_stream(execution)) > 1:
        raise InputError(
            f"slippage_probability must be 0 or 1 with several venues ({', '.join(by_venue)}), "
            f"was {execution.slippage_probability}"
        )
    return [_venue(name, traded, execution) for name, traded in by_venue.items()]


def _venue(name: str, traded: Sequence[InstrumentSpec], execution: ExecutionConfig) -> BacktestVenueConfig:
    rates = {spec.instrument_id: (str(spec.commission_per_unit), str(spec.commission_minimum)) for spec in traded}
    return BacktestVenueConfig(
        name=name,
        oms_type="NETTING",
        account_type="MARGIN",
        base_currency="USD",
        starting_balances=[f"{execution.starting_balance_usd} USD"],
        bar_adaptive_high_low_ordering=execution.high_low_order == "adaptive",
        fill_model=ImportableFillModelConfig(
            fill_model_path="rl_strategies.backtest.venue:StreamFillModel",
            config_path="rl_strategies.backtest.venue:StreamFillModelConfig",
            config=_stream(execution),
        ),
        fee_model=ImportableFeeModelConfig(
            fee_model_path="rl_strategies.backtest.venue:OrderCommission",
            config_path="rl_strategies.backtest.venue:OrderCommissionConfig",
            config={"rates": rates},
        ),
    )
