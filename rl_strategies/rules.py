"""The rules of trading one instrument, as configured and as the record that kernels read."""

from decimal import Decimal
from typing import Any, Literal

import msgspec
import numpy as np

from catalogs.bars import FIXED_SCALAR
from catalogs.instruments import InstrumentSpec
from rl_strategies.barriers import BarrierConfig, unit_code
from rl_strategies.commission import to_micros
from rl_strategies.risk.overlay import RiskConfig


class TradingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How targets become orders.

    Attributes
    ----------
    units : int
        Contracts or shares of every entry.
    barriers : BarrierConfig
    risk : RiskConfig
    """

    units: int = 1
    barriers: BarrierConfig = BarrierConfig()
    risk: RiskConfig = RiskConfig()

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"units must be at least 1, was {self.units}")


class ExecutionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the simulated market charges, the same in the simulator and in the NautilusTrader engine.

    Attributes
    ----------
    slippage_ticks : {0, 1}
        Adverse ticks on every fill, take profits included.
    high_low_order : {"adaptive", "high_first"}
        Which end of a bar is visited first: the one nearer to the open (a tie visits the low), or always the high.
    starting_balance_usd : Decimal
    """

    slippage_ticks: Literal[0, 1] = 1
    high_low_order: Literal["adaptive", "high_first"] = "adaptive"
    starting_balance_usd: Decimal = Decimal(100_000)

    def __post_init__(self) -> None:
        cents = self.starting_balance_usd * 100
        if cents <= 0 or cents != cents.to_integral_value():
            raise ValueError(
                f"starting_balance_usd must be above zero and in whole cents, was {self.starting_balance_usd}"
            )


RULES = np.dtype(
    (
        np.record,
        [
            ("tick_raw", np.float64),
            ("tick_size", np.float64),
            ("multiplier", np.float64),
            ("units", np.int64),
            ("rate_micros", np.int64),
            ("minimum_cents", np.int64),
            ("stop_unit", np.int64),
            ("stop_value", np.float64),
            ("target_unit", np.int64),
            ("target_value", np.float64),
            ("time_limit_bars", np.int64),
            ("max_entries", np.int64),
            ("slippage_ticks", np.int64),
            ("adaptive", np.int64),
            ("starting_cents", np.int64),
        ],
    )
)


def pack_rules(instrument: InstrumentSpec, trading: TradingConfig, execution: ExecutionConfig) -> Any:
    """Record of dtype `RULES`, shape (1,)."""
    barriers = trading.barriers
    rules = np.zeros(1, RULES)
    values = {
        "tick_raw": instrument.tick_raw,
        "tick_size": instrument.tick_raw / FIXED_SCALAR,
        "multiplier": instrument.multiplier,
        "units": trading.units,
        "rate_micros": to_micros(instrument.commission_per_unit),
        "minimum_cents": int(instrument.commission_minimum * 100),
        "stop_unit": unit_code(barriers.stop_loss),
        "stop_value": barriers.stop_loss.value if barriers.stop_loss else 0.0,
        "target_unit": unit_code(barriers.take_profit),
        "target_value": barriers.take_profit.value if barriers.take_profit else 0.0,
        "time_limit_bars": barriers.time_limit_bars,
        "max_entries": trading.risk.max_entries_per_session,
        "slippage_ticks": execution.slippage_ticks,
        "adaptive": execution.high_low_order == "adaptive",
        "starting_cents": int(execution.starting_balance_usd * 100),
    }
    for name, value in values.items():
        rules[name] = value
    return rules
