"""A backtest engine without the bookkeeping that nobody here reads; its fills, balances and margins are untouched.

For every closed position NautilusTrader concatenates pandas objects for statistics, and pickles the position three
times to remember the cycle that ended; for every order that comes to rest or is cancelled it computes the account
anew, and composes a text of it for a log: together the larger half of a trading backtest. This project computes its
figures from the fills.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nautilus_trader.accounting.manager import AccountsManager
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import Logger
from nautilus_trader.config import PortfolioConfig
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.system import kernel

# Options that keep NautilusTrader from composing texts even where no log takes them: of events and commands, and of
# every state of an account but the first in a year.
QUIET_STRATEGY = {"log_events": False, "log_commands": False}
QUIET_PORTFOLIO = PortfolioConfig(min_account_state_logging_interval_ms=365 * 86_400_000)


class LeanCache(Cache):
    """Keeps orders and positions, but no copies of the positions that a netted position was before."""

    __slots__ = ()

    def snapshot_position(self, position: Any) -> None:
        """Nothing: the engine's account has booked what the position realised."""


class LeanPortfolio(Portfolio):
    """Books what a fill earned and cost, and margins when a position changes; between the two no account moves.

    For margin accounts whose resting orders only reduce, as those of `rl_strategies.execution` do: such orders need
    no margin, so that the account after an order was accepted or cancelled is the one before. Nobody is told of it.
    """

    __slots__ = ("_books", "_held")

    def __init__(self, msgbus: Any, cache: Any, clock: Any, config: PortfolioConfig | None = None) -> None:
        super().__init__(msgbus, cache, clock, config)
        self._held = cache
        self._books = AccountsManager(cache=cache, clock=clock, logger=Logger(type(self).__name__))
        msgbus.unsubscribe("events.order.*", self.on_order_event)
        msgbus.unsubscribe("events.position.*", self.on_position_event)

    def update_order(self, event: Any) -> None:
        """Change the account's balances by a fill."""
        if isinstance(event, OrderFilled):
            account, instrument = self._held.account(event.account_id), self._held.instrument(event.instrument_id)
            self._books.update_balances(account, instrument, event)


@contextmanager
def lean_engines() -> Iterator[None]:
    """Engines that are built inside have a `LeanCache` and a `LeanPortfolio`; call `keep_no_statistics` on each.

    The engine's kernel takes neither from outside, so the classes that it makes them of are exchanged meanwhile.
    """
    default = kernel.Cache, kernel.Portfolio
    kernel.Cache, kernel.Portfolio = LeanCache, LeanPortfolio
    try:
        yield
    finally:
        kernel.Cache, kernel.Portfolio = default


def keep_no_statistics(engine: Any) -> None:
    """Spare a built engine its statistics of closed positions; set ``run_analysis=False`` too."""
    engine.portfolio.analyzer.record_trade = lambda *args, **kwargs: None
