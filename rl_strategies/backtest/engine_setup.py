"""The door to backtest engines: lean (`rl_strategies.backtest.lean_engine`), or NautilusTrader's as it is.

Both trade alike: the same fills, order histories, balances and margins. ``RL_INTRADAY_PLAIN=engine`` chooses the second
(`catalogs.plain`); docs/decisions/0002-lean-backtest-engine.md says why there are two.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from nautilus_trader.config import PortfolioConfig

from catalogs.plain import runs_plain
from rl_strategies.backtest.lean_engine import QUIET_PORTFOLIO, QUIET_STRATEGY, keep_no_statistics, lean_engines


@dataclass(frozen=True)
class EngineSetup:
    """What belongs to one kind of engine.

    Attributes
    ----------
    is_lean : bool
    strategy_options : mapping of str to bool
        Options for the configuration of every strategy.
    portfolio : PortfolioConfig or None
        For the engine's configuration.
    """

    is_lean: bool
    strategy_options: Mapping[str, bool] = field(default_factory=dict)
    portfolio: PortfolioConfig | None = None

    def building(self) -> AbstractContextManager[None]:
        """Build the engine or node inside this context."""
        return lean_engines() if self.is_lean else nullcontext()

    def finish(self, engine: Any) -> None:
        """Call once on each built engine, before it runs."""
        if self.is_lean:
            keep_no_statistics(engine)


LEAN_ENGINE = EngineSetup(True, QUIET_STRATEGY, QUIET_PORTFOLIO)
PLAIN_ENGINE = EngineSetup(False)


def engine_setup() -> EngineSetup:
    """The kind of engine that backtests run in; asked anew for every engine."""
    return PLAIN_ENGINE if runs_plain("engine") else LEAN_ENGINE
