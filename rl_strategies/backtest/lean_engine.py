"""A backtest engine without bookkeeping that this project does not use; fills, balances and margins are unchanged.

For every closed position NautilusTrader concatenates pandas objects for statistics and pickles the position three
times. For every order that rests or is cancelled it computes the account again and formats it for a log. Together that
is the larger half of a trading backtest. This project computes its figures from the fills.
`rl_strategies.backtest.engine_setup` is the door to this module.
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

# NautilusTrader formats log texts even if no log takes them. These options avoid the texts of events and commands, and
# of every account state but the first in a year.
QUIET_STRATEGY = {"log_events": False, "log_commands": False}
QUIET_PORTFOLIO = PortfolioConfig(min_account_state_logging_interval_ms=365 * 86_400_000)


class LeanCache(Cache):
    """Keeps orders and positions, but no copies of earlier states of a netted position."""

    __slots__ = ()

    def snapshot_position(self, position: Any) -> None:
        """Do nothing: the account has booked what the position realised."""


class LeanPortfolio(Portfolio):
    """Updates the account at fills and margins at position changes, not at every order event.

    Only for margin accounts whose resting orders only reduce a position, as those of `rl_strategies.execution` do: such
    orders need no margin, so accepting or cancelling one does not change the account.
    """

    __slots__ = ("_books", "_held")

    def __init__(self, msgbus: Any, cache: Any, clock: Any, config: PortfolioConfig | None = None) -> None:
        super().__init__(msgbus, cache, clock, config)
        self._held = cache
        self._books = AccountsManager(cache=cache, clock=clock, logger=Logger(type(self).__name__))
        msgbus.unsubscribe("events.order.*", self.on_order_event)
        msgbus.unsubscribe("events.position.*", self.on_position_event)

    def update_order(self, event: Any) -> None:
        """Update the account's balances if the event is a fill."""
        if isinstance(event, OrderFilled):
            account, instrument = self._held.account(event.account_id), self._held.instrument(event.instrument_id)
            self._books.update_balances(account, instrument, event)


@contextmanager
def lean_engines() -> Iterator[None]:
    """Engines built in this context have a `LeanCache` and a `LeanPortfolio`; call `keep_no_statistics` on each.

    The engine's kernel accepts neither as an argument, so the classes that it instantiates are exchanged meanwhile.
    """
    default = kernel.Cache, kernel.Portfolio
    kernel.Cache, kernel.Portfolio = LeanCache, LeanPortfolio
    try:
        yield
    finally:
        kernel.Cache, kernel.Portfolio = default


def keep_no_statistics(engine: Any) -> None:
    """Turn a built engine's statistics of closed positions off; also set ``run_analysis=False``."""
    engine.portfolio.analyzer.record_trade = lambda *args, **kwargs: None
