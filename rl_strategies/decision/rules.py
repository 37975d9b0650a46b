"""Trading and execution rules: their configuration, and the records that kernels read."""

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
import numpy as np

from catalogs.bars import FIXED_SCALAR
from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.accounting.commission import to_micros
from rl_strategies.decision.barriers import BarrierConfig, unit_code
from rl_strategies.decision.slippage import SLIPPAGE_FIELDS, SlippageConfig, pack_slippage
from rl_strategies.risk.config import RiskConfig


class TradingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How targets become orders.

    Attributes
    ----------
    units : int
        Contracts or shares of every entry; the maximum if a risk budget sizes entries.
    barriers : BarrierConfig
    risk : RiskConfig
    risk_budget_usd : float
        USD by which one average true range may move a position (`rl_strategies.risk.sizing`); 0 for fixed units.
    mask_actions : bool
        Append to the observation which targets the risk overlay would grant; the learner draws no others.
    """

    units: int = 1
    barriers: BarrierConfig = BarrierConfig()
    risk: RiskConfig = RiskConfig()
    risk_budget_usd: float = 0.0
    mask_actions: bool = False

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"trading.units must be at least 1, was {self.units}")
        if not (self.risk_budget_usd >= 0 and math.isfinite(self.risk_budget_usd)):
            raise ValueError(f"trading.risk_budget_usd must not be negative, was {self.risk_budget_usd}")


HIGH_LOW_ORDERS = ("adaptive", "high_first")


class ExecutionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fills and costs of the simulated market, the same in the simulator and in the NautilusTrader engine.

    Attributes
    ----------
    slippage : SlippageConfig or None
        Slippage of market orders and stops; takes the place of the next three.
    slippage_ticks : {0, 1}
        Adverse ticks of a slipped fill, take profits included.
    slippage_probability : float
        Probability that a fill slips.
    slippage_seed : int
        Seed of the draws if that probability is between 0 and 1.
    fill : {"same_close", "next_open"}
        Price of an approved target's order: the close of the decision, or the open of the instrument's next bar. An
        order without a next bar by the next decision or the closing time is dropped.
    high_low_order : {"adaptive", "high_first"}
        Extreme of a bar that is visited first: the one nearer to the open (the low on a tie), or always the high.
    starting_balance_usd : Decimal
    """

    slippage_ticks: Literal[0, 1] = 1
    slippage_probability: float = 1.0
    slippage_seed: int = 0
    fill: Literal["same_close", "next_open"] = "same_close"
    high_low_order: str = "adaptive"
    starting_balance_usd: Decimal = Decimal(100_000)
    slippage: SlippageConfig | None = None

    @property
    def ticks_on_every_fill(self) -> int:
        """``slippage_ticks``, or 0 where ``slippage`` takes its place."""
        return self.slippage_ticks if self.slippage is None else 0

    @property
    def starting_cents(self) -> int:
        """Starting balance in cents."""
        return int(self.starting_balance_usd * 100)

    def __post_init__(self) -> None:
        if self.high_low_order not in HIGH_LOW_ORDERS:
            raise ValueError(
                f"high_low_order must be one of {', '.join(HIGH_LOW_ORDERS)}, was {self.high_low_order!r} "
                "(the engine knows no other rule)"
            )
        if not 0.0 <= self.slippage_probability <= 1.0:
            raise ValueError(f"slippage_probability must be in [0, 1], was {self.slippage_probability}")
        if self.slippage is not None and (self.slippage_ticks, self.slippage_probability, self.slippage_seed) != (
            1,
            1.0,
            0,
        ):
            raise ValueError(
                "slippage takes the place of slippage_ticks, slippage_probability and slippage_seed: leave them out"
            )
        cents = self.starting_balance_usd * 100
        if cents <= 0 or cents != cents.to_integral_value():
            raise ValueError(
                f"starting_balance_usd must be above zero and in whole cents, was {self.starting_balance_usd}"
            )


NS_PER_MINUTE = 60_000_000_000
NEVER_NS = np.iinfo(np.int64).max

RULES = np.dtype(
    (
        np.record,
        [
            ("tick_raw", np.float64),
            ("tick_size", np.float64),
            ("multiplier", np.float64),
            ("units", np.int64),
            ("risk_budget_usd", np.float64),
            ("rate_micros", np.int64),
            ("minimum_cents", np.int64),
            ("stop_unit", np.int64),
            ("stop_value", np.float64),
            ("take_profit_unit", np.int64),
            ("take_profit_value", np.float64),
            ("time_limit_bars", np.int64),
            ("slippage_ticks", np.int64),
            ("adaptive", np.int64),
            ("last_entry_ns", np.int64),  # last moment of an entry into a contract month that expires
            *SLIPPAGE_FIELDS,
        ],
    )
)


def pack_rules(instruments: Sequence[InstrumentSpec], trading: TradingConfig, execution: ExecutionConfig) -> Any:
    """Records of dtype `RULES`, one per instrument."""
    rules = np.zeros(len(instruments), RULES)
    for place, (record, instrument) in enumerate(zip(rules, instruments, strict=True)):
        _pack(record, instrument, trading, execution)
        for name, value in pack_slippage(execution.slippage, instrument, place).items():
            record[name] = value
    return rules


def last_entry_ns(instrument: InstrumentSpec, risk: RiskConfig) -> int:
    """Last moment at which a contract month may be entered, UTC nanoseconds; `NEVER_NS` if it does not expire."""
    if not instrument.tradable_until_ns:
        return NEVER_NS
    return instrument.tradable_until_ns - risk.no_entry_before_expiry_minutes * NS_PER_MINUTE


def _pack(rules: Any, instrument: InstrumentSpec, trading: TradingConfig, execution: ExecutionConfig) -> None:
    barriers = trading.barriers
    values = {
        "tick_raw": instrument.tick_raw,
        "tick_size": instrument.tick_raw / FIXED_SCALAR,
        "multiplier": instrument.multiplier,
        "units": trading.units,
        "risk_budget_usd": trading.risk_budget_usd,
        "rate_micros": to_micros(instrument.commission_per_unit),
        "minimum_cents": int(instrument.commission_minimum * 100),
        "stop_unit": unit_code(barriers.stop_loss),
        "stop_value": barriers.stop_loss.value if barriers.stop_loss else 0.0,
        "take_profit_unit": unit_code(barriers.take_profit),
        "take_profit_value": barriers.take_profit.value if barriers.take_profit else 0.0,
        "time_limit_bars": barriers.time_limit_bars,
        "slippage_ticks": execution.ticks_on_every_fill,
        "adaptive": execution.high_low_order == "adaptive",
        "last_entry_ns": last_entry_ns(instrument, trading.risk),
    }
    for name, value in values.items():
        rules[name] = value
