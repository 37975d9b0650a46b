"""A trading day told in a few bars: what the decision core grants, bar by bar.

Orders fill at the close that was decided on, without slippage or commission, so that equity can be worked out by hand:
100,000 USD and what the position gained since it was entered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from catalogs.instruments.specification import InstrumentSpec
from rl_strategies.decision.actions import FLAT
from rl_strategies.decision.barriers import BarrierConfig
from rl_strategies.decision.core import DecisionCore, Review
from rl_strategies.decision.rules import ExecutionConfig, TradingConfig
from rl_strategies.features import FeaturePlan, FeatureSpec
from rl_strategies.risk.config import RiskConfig

NO_LIMIT = RiskConfig(
    max_entries_per_session=0,
    flatten_before_close_minutes=1,
    no_trade_first_minutes=0,
    no_trade_last_minutes=0,
    no_entry_before_expiry_minutes=0,
    max_gross_exposure=0.0,
)
PLAN = FeaturePlan([FeatureSpec("log_return", "return_1"), FeatureSpec("atr", "atr_14", {"n": 14}, observe=False)])
NEW_YORK = ZoneInfo("America/New_York")


def share(name: str, expires: str = "", tick: str = "0.01") -> InstrumentSpec:
    """A share that costs nothing to trade; ``expires`` like a contract month at that time."""
    return InstrumentSpec(
        instrument_id=f"{name}.EQUS",
        kind="equity",
        tick_size=Decimal(tick),
        multiplier=1,
        commission_per_unit=Decimal(0),
        commission_minimum=Decimal(0),
        calendar="NYSE",
        expiration_ns=time_ns(expires) if expires else 0,
    )


def time_ns(clock: str) -> int:
    """``"09:31"`` of Tuesday 2024-12-03 in New York, or a whole ``"2024-12-04 09:31"``; UTC nanoseconds."""
    text = clock if " " in clock else f"2024-12-03 {clock}"
    return round(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


@dataclass(frozen=True)
class At:
    """One bar of every instrument, the targets decided on its close, and what must come of them.

    Attributes
    ----------
    clock : str
        Close of the bar.
    close : float or tuple of float or None
        Price, USD; None where the instrument has no bar.
    target : int or tuple of int
        Wanted side: -1, 0, 1.
    expected : str
        Units held afterwards and the overlay's reason, of each instrument.
    volume : int
    """

    clock: str
    close: float | tuple[float | None, ...]
    target: int | tuple[int, ...]
    expected: str
    volume: int = 1_000_000


@dataclass(frozen=True)
class Story:
    """Bars of one or more days under one set of limits.

    Attributes
    ----------
    risk : RiskConfig
    steps : sequence of At
    units : int
        Of every entry.
    time_limit_bars : int
    risk_budget_usd, atr : float
    expires : str
        Last moment of trading of the first instrument; empty for none.
    tick : str
        Tick size, USD.
    """

    risk: RiskConfig
    steps: Sequence[At]
    units: int = 100
    time_limit_bars: int = 0
    risk_budget_usd: float = 0.0
    atr: float = 1.0
    names: tuple[str, ...] = field(default=("AAA", "BBB"))
    expires: str = ""
    tick: str = "0.01"

    @property
    def expected(self) -> list[str]:
        """What is written down."""
        return [f"{step.clock} {step.expected}" for step in self.steps]

    def outcome(self, risk: RiskConfig | None = None) -> list[str]:
        """What happens, under these limits or under others."""
        barriers = BarrierConfig(None, None, self.time_limit_bars)
        trading = TradingConfig(self.units, barriers, risk or self.risk, self.risk_budget_usd)
        first = self.steps[0].close
        names = self.names[: len(first)] if isinstance(first, tuple) else self.names[:1]
        instruments = [share(name, self.expires if name == names[0] else "", self.tick) for name in names]
        core = DecisionCore(instruments, PLAN, trading, ExecutionConfig())
        return [f"{step.clock} {self._live(core, step)}" for step in self.steps]

    def _live(self, core: DecisionCore, step: At) -> str:
        now_ns = time_ns(step.clock)
        closes = step.close if isinstance(step.close, tuple) else (step.close,)
        targets = step.target if isinstance(step.target, tuple) else (step.target,)
        for leg, close in zip(core.instruments, closes, strict=True):
            if close is not None:
                ticks = round(close / float(self.tick))
                day = leg.on_bar(now_ns, ticks, ticks, ticks, ticks, step.volume)
                if day != core.session_date:
                    core.begin_session(day)
        core.legs["atr"] = self.atr
        core.look(now_ns)
        if core.is_ruined:
            return "ruined"
        answers = core.review([target + FLAT for target in targets])
        for k, answer in enumerate(answers):
            _trade(core, k, answer)
        held = core.legs["units"].tolist()
        return ", ".join(f"{units:+d} {answer.reason}" for units, answer in zip(held, answers, strict=True))


def _trade(core: DecisionCore, k: int, answer: Review) -> None:
    leg = core.instruments[k]
    if answer.side == leg.side:
        return
    if leg.side != 0:
        core.on_fill(k, -leg.units, leg.close_ticks, 0)
    if answer.side != 0:
        core.on_fill(k, answer.side * answer.units, leg.close_ticks, 0)
